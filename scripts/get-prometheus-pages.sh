#!/bin/sh
# Unpack the web pages of Debian's Prometheus into the cache, if the Prometheus given is the one unpacked there, and
# print their directory. Any other brings its own pages: then nothing is printed.
#   get-prometheus-pages.sh PROMETHEUS
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

# The pages, and the JavaScript libraries that they link to.
packages="prometheus fonts-glyphicons-halflings libjs-bootstrap4 libjs-d3 libjs-eonasdan-bootstrap-datetimepicker
    libjs-jquery libjs-jquery-hotkeys libjs-moment libjs-moment-timezone libjs-mustache libjs-popper.js libjs-rickshaw"

find_cache
directory=$cache/prometheus
if [ "$(readlink -f "$1")" != "$(readlink -f "$directory/prometheus")" ]; then
    exit 0
fi
if [ ! -d "$directory/share/prometheus/web" ]; then
    make_work "$cache"
    for package in $packages; do
        sh "$root/scripts/unpack-debian-package.sh" "$package" "$work" || fail "no pages for Prometheus: see above"
    done
    # The one file of 200 MB of time zone data that the pages link to; documentation stays behind.
    (cd "$work/usr/share/javascript/moment-timezone" && find . -type f ! -name 'moment-timezone-with-data.min.js' -delete)
    rm -rf "$work/usr/share/doc" "$work/usr/share/man" "$work/usr/share/lintian"
    mv "$work/usr/share" "$directory/share"
fi
printf '%s\n' "$directory/share/prometheus/web"
