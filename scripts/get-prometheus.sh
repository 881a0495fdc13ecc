#!/bin/sh
# Find a Prometheus, or unpack Debian's into the cache. Prints two lines on stdout: prometheus's path, promtool's path.
# First $PROMETHEUS_BINARY and $PROMTOOL_BINARY, then the PATH, then the cache; nothing is installed and no service started.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

how_to_get="install Prometheus with promtool so that both are on the PATH, or name them in PROMETHEUS_BINARY and PROMTOOL_BINARY"

answer() {
    for program in "$1" "$2"; do
        if ! output=$("$program" --version 2>&1); then
            say "$output"
            missing=$(ldd "$program" 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' | tr '\n' ' ')
            fail "$program does not start${missing:+: it lacks the shared libraries $missing}; $how_to_get"
        fi
    done
    say "setup: using Prometheus $("$1" --version 2>&1 | sed -n 's/^prometheus, version \([^ ]*\).*/\1/p'): $1"
    printf '%s\n' "$1" "$2"
    exit 0
}

unpack() {
    make_work "$cache"
    sh "$root/scripts/unpack-debian-package.sh" prometheus "$work" || fail "no Prometheus: $how_to_get"
    mkdir -p "$directory"
    for program in promtool prometheus; do
        mv -f "$work/usr/bin/$program" "$directory/$program"
    done
}

if [ -n "${PROMETHEUS_BINARY:-}" ] && [ -n "${PROMTOOL_BINARY:-}" ]; then
    # Resolved: they may be relative paths, or make's own links to the answer of an earlier run.
    answer "$(readlink -f "$PROMETHEUS_BINARY")" "$(readlink -f "$PROMTOOL_BINARY")"
fi

if prometheus=$(command -v prometheus 2>/dev/null) && promtool=$(command -v promtool 2>/dev/null); then
    answer "$prometheus" "$promtool"
fi

find_cache
directory=$cache/prometheus
if [ ! -x "$directory/prometheus" ] || [ ! -x "$directory/promtool" ]; then
    unpack
fi
answer "$directory/prometheus" "$directory/promtool"
