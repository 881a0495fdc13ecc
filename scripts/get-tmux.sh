#!/bin/sh
# Find tmux, the terminal that the tests of `top` run it in, or unpack Debian's into the cache. Prints its path on
# stdout. First $TMUX_BINARY, then the PATH, then the cache; nothing is installed.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

how_to_get="install tmux so that it is on the PATH, or name it in TMUX_BINARY"

answer() {
    output=$("$1" -V 2>&1) || {
        say "$output"
        fail "$1 does not start; $how_to_get"
    }
    say "setup: using $output: $1"
    printf '%s\n' "$1"
    exit 0
}

missing() {
    LD_LIBRARY_PATH=$work/lib ldd "$work/usr/bin/tmux" | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p'
}

# Debian's packages with a library, by the name that they have in one release or another.
packages_with() {
    case $1 in
        libevent_core-2.1.so.7) echo libevent-core-2.1-7 libevent-core-2.1-7t64 ;;
        libutempter.so.0) echo libutempter0 ;;
        libtinfo.so.6) echo libtinfo6 ;;
        libjemalloc.so.2) echo libjemalloc2 ;;
        libsystemd.so.0) echo libsystemd0 ;;
        *) fail "tmux needs $1, and which package has it is not known here; $how_to_get" ;;
    esac
}

unpack_library() {
    for package in $(packages_with "$1"); do
        if sh "$root/scripts/unpack-debian-package.sh" "$package" "$work"; then
            find "$work/usr" "$work/lib" -name '*.so.*' -exec mv -f {} "$work/lib/" \; 2>/dev/null || :
            return 0
        fi
    done
    fail "no $1 for tmux: $how_to_get"
}

unpack() {
    make_work "$cache"
    sh "$root/scripts/unpack-debian-package.sh" tmux "$work" || fail "no tmux: $how_to_get"
    mkdir -p "$work/lib"
    for library in $(missing); do
        unpack_library "$library"
    done
    [ -z "$(missing)" ] || fail "the tmux that was unpacked lacks $(missing); $how_to_get"
    mkdir -p "$directory/lib" "$directory/bin"
    mv -f "$work/usr/bin/tmux" "$directory/bin/tmux"
    find "$work/lib" -maxdepth 1 -name '*.so.*' -exec mv -f {} "$directory/lib/" \;
    # A script that gives it the libraries unpacked beside it.
    cat >"$work/tmux" <<EOF
#!/bin/sh
LD_LIBRARY_PATH='$directory/lib' exec '$directory/bin/tmux' "\$@"
EOF
    chmod +x "$work/tmux"
    mv -f "$work/tmux" "$directory/tmux"
}

if [ -n "${TMUX_BINARY:-}" ]; then
    # Resolved: it may be a relative path, or make's own link to the answer of an earlier run.
    answer "$(readlink -f "$TMUX_BINARY")"
fi

if found=$(command -v tmux 2>/dev/null); then
    answer "$found"
fi

find_cache
directory=$cache/tmux
if [ ! -x "$directory/tmux" ]; then
    unpack
fi
answer "$directory/tmux"
