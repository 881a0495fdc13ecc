#!/bin/sh
# Build the Debian package for this system from the wheel in dist/ and this checkout, with Debian's own tools; prints its
# path. DEB_SUFFIX is appended to the version, to try an upgrade. Installs nothing.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"
cd "$root"

package=telegraf-bitcoin-ipc
for program in dpkg-buildpackage dh dh_python3; do
    command -v "$program" >/dev/null 2>&1 ||
        fail "there is no '$program' here: apt-get install build-essential debhelper dh-python python3-pip"
done
wheel=$(echo dist/*.whl)
[ -f "$wheel" ] || fail "there is no wheel in dist/: make wheel"

# The system's Python is part of the version: an upgrade of the system is one of this package, too.
python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
version=$(basename "$wheel" | cut -d - -f 2)+py$python${DEB_SUFFIX:-}
SOURCE_DATE_EPOCH=$(sh scripts/source-date.sh)
export SOURCE_DATE_EPOCH

make_work "$root/dist"
tree=$work/$package
mkdir -p "$tree"
cp -R LICENSE README.md METRICS.md contrib debian docs prometheus scripts "$tree/"
mkdir "$tree/debian/wheel"
cp "$wheel" "$tree/debian/wheel/"
cat >"$tree/debian/changelog" <<END
$package ($version) unstable; urgency=medium

  * See CHANGELOG.md.

 -- $(sed -n 's/^Maintainer: //p' "$tree/debian/control")  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
say "setup: building the Debian package $version"
(cd "$tree" && dpkg-buildpackage --build=binary --no-sign) >"$work/build.log" 2>&1 || {
    tail -n 40 "$work/build.log" >&2
    fail "the Debian package could not be built: see above"
}
mv "$work/$package"_*.deb dist/
cp "$tree/debian/$package.1" "$tree/debian/bundled.txt" dist/
ls "dist/${package}_${version}_"*.deb
