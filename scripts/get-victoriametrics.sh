#!/bin/sh
# Find VictoriaMetrics (single node), or build it into the cache. Prints its path on stdout.
# First $VICTORIAMETRICS_BINARY, then the cache; nothing is installed.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

version=1.150.0
go_needed=1.26 # by that release's go.mod
module=github.com/VictoriaMetrics/VictoriaMetrics

build() {
    make_work "$cache"
    cd "$work"
    need_go VictoriaMetrics "$go_needed"
    say "setup: building VictoriaMetrics $version with Go $go_version, once: a minute or two"
    # A module of its own rather than `go install ...@version`, which also asks for the list of all releases: that is
    # long, and a proxy that keeps only some has none.
    printf 'module local\ngo %s\nrequire %s v%s\n' "$go_needed" "$module" "$version" >go.mod
    # No cgo: no C compiler is needed then.
    if ! CGO_ENABLED=0 go build -mod=mod -ldflags "-s -w" -o victoria-metrics "$module/app/victoria-metrics" \
        >build.log 2>&1; then
        tail -n 20 build.log >&2
        fail "VictoriaMetrics could not be built: see above (are the Go module proxy and its checksum database reachable?)"
    fi
    mkdir -p "$(dirname -- "$cached")"
    mv -f victoria-metrics "$cached"
}

given VICTORIAMETRICS_BINARY "${VICTORIAMETRICS_BINARY:-}"

find_cache
cached=$cache/victoria-metrics-$version/victoria-metrics
if [ ! -x "$cached" ]; then
    build
fi
say "setup: using VictoriaMetrics $version: $cached"
printf '%s\n' "$cached"
