#!/bin/sh
# Find Nix, or unpack Debian's into the cache. Prints two lines on stdout: nix's path, nix-instantiate's path.
# First $NIX_BINARY and $NIX_INSTANTIATE_BINARY, then the PATH, then the cache; nothing is installed, and there is no
# store and no daemon: the tests evaluate only, with a store of their own.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

oldest=2.8 # Debian 12's
how_to_get="install Nix $oldest or newer so that nix and nix-instantiate are on the PATH, or name them in NIX_BINARY and NIX_INSTANTIATE_BINARY"

version_of() {
    "$1" --version 2>/dev/null | sed -n 's/^nix.* \([0-9][0-9.]*\).*/\1/p'
}

answer() {
    for program in "$1" "$2"; do
        if ! output=$("$program" --version 2>&1); then
            say "$output"
            fail "$program does not start; $how_to_get"
        fi
    done
    say "setup: using Nix $(version_of "$1"): $1"
    printf '%s\n' "$1" "$2"
    exit 0
}

unpack() {
    make_work "$cache"
    sh "$root/scripts/unpack-debian-package.sh" --with-libraries nix-bin "$work" || fail "no Nix: $how_to_get"
    for program in nix nix-instantiate; do
        # Its libraries lie beside it, not where the system's loader looks.
        cat >"$work/$program" <<'END'
#!/bin/sh
self=$(readlink -f "$0")
here=${self%/*}
libraries=$here/usr/lib/nix
for directory in "$here"/usr/lib/*-linux-gnu* "$here"/lib/*-linux-gnu*; do
    libraries=$libraries:$directory
done
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$here/usr/bin/${self##*/}" "$@"
END
        chmod +x "$work/$program"
    done
    rm -rf "$directory"
    mv "$work" "$directory"
}

if [ -n "${NIX_BINARY:-}" ] && [ -n "${NIX_INSTANTIATE_BINARY:-}" ]; then
    answer "$(readlink -f "$NIX_BINARY")" "$(readlink -f "$NIX_INSTANTIATE_BINARY")"
fi

if nix=$(command -v nix 2>/dev/null) && instantiate=$(command -v nix-instantiate 2>/dev/null); then
    version=$(version_of "$nix")
    if at_least "$oldest" "${version:-0.0}"; then
        answer "$nix" "$instantiate"
    fi
    say "setup: the Nix on the PATH is ${version:-of unknown version}; $oldest or newer is needed, so it is passed over"
fi

find_cache
directory=$cache/nix
if [ ! -x "$directory/nix" ] || [ ! -x "$directory/nix-instantiate" ]; then
    unpack
fi
answer "$directory/nix" "$directory/nix-instantiate"
