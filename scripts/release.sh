#!/bin/sh
# Make a release in dist/: sdist, wheel, Debian package for this system, manual page, the list of what is bundled, and
# checksums. Checks them, and that a second build gives the same bytes. docs/releasing.md says when to run it.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"
cd "$root"

python=.venv/bin/python
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
grep -q "^## \[$version\] - " CHANGELOG.md || fail "CHANGELOG.md has no section [$version] with a date"
[ -z "$(git status --porcelain)" ] || fail "the checkout has changes that are not committed"
SOURCE_DATE_EPOCH=$(sh scripts/source-date.sh)
export SOURCE_DATE_EPOCH

build() {
    rm -rf dist
    say "release: building $version"
    $python -P -m build --no-isolation >"$work/build.log" 2>&1 || {
        cat "$work/build.log" >&2
        fail "no sdist and wheel: see above"
    }
    sh scripts/make-deb.sh >&2
    (cd dist && sha256sum -- *) >"$work/$1"
}

make_work .venv
build first
build second
cmp "$work/first" "$work/second" >&2 || fail "two builds differ: diff of $(diff "$work/first" "$work/second")"
say "release: the second build gave the same bytes"
$python -m twine check --strict dist/*.whl dist/*.tar.gz >&2
$python -m check_wheel_contents dist/*.whl >&2
touch dist/.built
mv "$work/second" dist/SHA256SUMS
cat dist/SHA256SUMS
