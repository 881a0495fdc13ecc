# shellcheck shell=sh
# What the scripts beside this file share. Sourced, never run.
# Progress and complaints go to stderr; stdout is for a script's answer.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# at_least WANTED VERSION: compares major.minor; whatever follows does not matter.
at_least() {
    awk -v wanted="$1" -v version="$2" 'BEGIN {
        split(wanted, w, "."); split(version, v, ".")
        exit !(v[1] + 0 > w[1] + 0 || (v[1] + 0 == w[1] + 0 && v[2] + 0 >= w[2] + 0))
    }'
}

# Sets $cache to a writable directory: the user's cache, or the checkout's own where that cannot be written.
find_cache() {
    cache=
    if [ -n "${XDG_CACHE_HOME:-${HOME:-}}" ]; then
        cache=${XDG_CACHE_HOME:-$HOME/.cache}/telegraf-bitcoin-ipc
    fi
    if [ -z "$cache" ] || ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
        cache=$root/.cache
        mkdir -p "$cache" || fail "neither the home directory's cache nor $cache can be written: set XDG_CACHE_HOME"
        # Go wants caches of its own, and would look for them in the same home directory.
        export GOPATH="$cache/go" GOCACHE="$cache/go-build" GOFLAGS="${GOFLAGS:-} -modcacherw"
    fi
}

# Sets $work to a new directory inside $1 that goes when the script does, whatever ends it.
# $job may hold the id of a background process that has to go with it.
make_work() {
    job=
    work=$(mktemp -d "$1/.work.XXXXXX")
    trap 'if [ -n "$job" ]; then kill "$job" 2>/dev/null || :; fi; rm -rf "$work"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}
