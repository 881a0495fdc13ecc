#!/bin/sh
# Write debian/requirements.txt: the libraries that the Debian package contains, as the checkout's .venv has them, with
# the checksums of the index's wheels for each supported Python and both architectures. Run it to bring them up to date.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"
cd "$root"

python=.venv/bin/python
pythons="3.11 3.12 3.13 3.14"
architectures="x86_64 aarch64"

# What the wheel and its extras need, and what that needs in turn, as NAME==VERSION.
pinned=$($python scripts/bundled.py --needed telegraf-bitcoin-ipc)
make_work .venv
fetch() {
    $python -m pip download --quiet --no-deps --only-binary :all: --dest "$work" "$@" >&2
}
for requirement in $pinned; do
    for version in $pythons; do
        for architecture in $architectures; do
            fetch --python-version "$version" --platform "manylinux_2_28_$architecture" \
                --platform "manylinux2014_$architecture" "$requirement" || fail "no wheel of $requirement for Python $version"
        done
    done
done
{
    printf '# Made by scripts/lock-bundled.sh: the libraries in the Debian package, with the checksums of their wheels.\n'
    for requirement in $pinned; do
        name=$(printf %s "${requirement%==*}" | tr 'A-Z-' 'a-z_')
        printf '%s' "$requirement"
        for wheel in "$work/$name"-*.whl; do
            printf ' \\\n    --hash=sha256:%s' "$(sha256sum "$wheel" | cut -d ' ' -f 1)"
        done
        printf '\n'
    done
} >"$work/requirements.txt"
mv "$work/requirements.txt" debian/requirements.txt
