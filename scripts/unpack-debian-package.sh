#!/bin/sh
# Download one Debian package and unpack it, without installing anything and without root.
#   unpack-debian-package.sh [--with-libraries] PACKAGE DIRECTORY
#       --with-libraries    and the shared libraries that it needs and this system lacks
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

libraries=
if [ "$1" = --with-libraries ]; then
    libraries=yes
    shift
fi
package=$1
directory=$(CDPATH='' cd -- "$2" && pwd)

for program in apt-get dpkg; do
    command -v "$program" >/dev/null 2>&1 || fail "this system has no $program to fetch the Debian package '$package' with"
done
make_work "$directory"
cd "$work"

say "setup: downloading the Debian package $package"
set --
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
if [ -n "$libraries" ]; then
    # What an installation would bring; a package that is here already has its old version in brackets.
    missing=$(apt-get "$@" --simulate --no-install-recommends install "$package" 2>>apt.log |
        sed -n '/^Inst [^ ]*-perl /d; s/^Inst \(lib[^ ]*\) (.*/\1/p')
    if [ -n "$missing" ]; then
        say "setup: and the libraries that it needs: $(printf '%s' "$missing" | tr '\n' ' ')"
        # shellcheck disable=SC2086  # one word for each package
        if ! apt-get "$@" download $missing >>apt.log 2>&1; then
            tail -n 15 apt.log >&2
            fail "apt-get could not download the libraries of '$package': see above"
        fi
    fi
fi
for file in *.deb; do
    dpkg -x "$file" "$directory"
done
