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

# given VARIABLE VALUE: if a program was given by that environment variable, prints its path and ends the script.
given() {
    [ -n "$2" ] || return 0
    [ -x "$2" ] || fail "$1 is '$2', which cannot be executed"
    say "setup: using $1: $2"
    # Resolved: it may be a relative path, or make's own link to the answer of an earlier run.
    readlink -f "$2"
    exit 0
}

# need_go NAME NEEDED [INSTEAD]: sets $go_version, or fails because NAME cannot be built. Run it in $work.
need_go() {
    how="Install Go $2 or newer: see https://go.dev/doc/install, and put its bin directory on the PATH${3:-}"
    command -v go >/dev/null 2>&1 || fail "$1 has to be built, and there is no 'go' on the PATH. $how"
    go_version=$(go env GOVERSION 2>/dev/null | sed 's/^go//')
    at_least "$2" "${go_version:-0.0}" || fail "$1 has to be built, and this Go is ${go_version:-broken}. $how"
}
