#!/bin/sh
# Make the checkout's .venv, unless there is one that fits. Installs nothing outside it.
#   make-venv.sh [--exactly]    --exactly: the .venv has to be of PYTHON's version (PYTHON was chosen by hand)
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"
cd "$root"

python=${PYTHON:-python3}
how_to_choose="choose one with: make PYTHON=python3.12 ..."

command -v "$python" >/dev/null 2>&1 ||
    fail "there is no '$python' here: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv), or $how_to_choose"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "'$python' does not run"

# A virtual environment holds its own absolute path in its scripts, so a moved one is no longer good.
if [ "${1:-}" != --exactly ] && [ -x .venv/bin/python ]; then
    version=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || version=broken
fi
if [ -x .venv/bin/python ] && [ "$(cat .venv/.made 2>/dev/null)" = "$root/.venv, Python $version" ]; then
    exit 0
fi

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
at_least 3.11 "$version" ||
    fail "'$python' is Python $version, and 3.11 or newer is needed: install one, and $how_to_choose"
"$python" -c 'import venv' 2>/dev/null ||
    fail "'$python' cannot make virtual environments: apt-get install python3-venv (or your system's equivalent)"

say "setup: making .venv with Python $version"
if "$python" -m ensurepip --version >/dev/null 2>&1; then
    "$python" -m venv --clear .venv >&2
else
    # Debian keeps ensurepip in the package python3-venv, and pip itself in one that is a plain file to unpack.
    say "setup: '$python' has no ensurepip (Debian: package python3-venv); fetching pip's package instead, without installing it"
    "$python" -m venv --clear --without-pip .venv >&2
    make_work .venv
    sh scripts/unpack-debian-package.sh python3-pip-whl "$work" ||
        fail "no pip to be had: apt-get install python3-venv (or your system's equivalent), then try again"
    for pip_wheel in "$work"/usr/share/python-wheels/pip-*.whl; do
        .venv/bin/python "$pip_wheel/pip" install --quiet pip >&2 || fail "pip could not install itself in .venv"
    done
fi
# 25.1 is the first that knows --group.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' >&2 ||
    fail "pip could not be brought up to date in .venv: is the package index reachable?"
printf '%s\n' "$root/.venv, Python $version" >.venv/.made
