#!/bin/sh
# Download one Debian package and unpack it, without installing anything and without root.
#   unpack-debian-package.sh PACKAGE DIRECTORY
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

package=$1
directory=$(CDPATH='' cd -- "$2" && pwd)

for program in apt-get dpkg; do
    command -v "$program" >/dev/null 2>&1 || fail "this system has no $program to fetch the Debian package '$package' with"
done
make_work "$directory"
cd "$work"

say "setup: downloading the Debian package $package"
if ! apt-get download "$package" >apt.log 2>&1; then
    # No package lists (a fresh container), or old ones: get current ones, in a directory of our own.
    say "setup: apt does not know where to find it; reading the package lists (without touching the system's)"
    mkdir -p lists/partial archives/partial
    set -- -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work" -o Debug::NoLocking=1
    apt-get "$@" update >>apt.log 2>&1 || :  # one unreachable source among several need not matter
    if ! apt-get "$@" download "$package" >>apt.log 2>&1; then
        tail -n 15 apt.log >&2
        fail "apt-get could not download '$package': see above; is the package mirror reachable?"
    fi
fi
dpkg -x "$package"_*.deb "$directory"
