#!/bin/sh
# Print the time (Unix) that everything in a release carries, so that two builds of one commit are the same bytes:
# $SOURCE_DATE_EPOCH, or that of the checkout's commit, or in an sdist that of pyproject.toml.
set -eu
cd "$(dirname -- "$0")/.."

if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
    printf '%s\n' "$SOURCE_DATE_EPOCH"
else
    git log -1 --format=%ct 2>/dev/null || stat -c %Y pyproject.toml
fi
