#!/bin/sh
# Find a Telegraf that is new enough, or build one into the cache. Prints its path, and nothing else, on stdout.
# First $TELEGRAF_BINARY, then the PATH, then the cache; no system directory is written.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

oldest=1.39
version=1.39.3
go_needed=1.26 # by that release's go.mod
module=github.com/influxdata/telegraf
# Only the plugins that are used here: half of Telegraf's usual build time goes into the others.
tags=custom,inputs.execd,outputs.prometheus_client,outputs.file,parsers.influx
# A fleet's way to the central Telegraf, over HTTP or Kafka, and remote write.
tags=$tags,outputs.http,inputs.http_listener_v2,outputs.kafka,inputs.kafka_consumer
tags=$tags,serializers.influx,serializers.prometheusremotewrite

version_of() {
    "$1" version 2>/dev/null | sed -n 's/^Telegraf v\{0,1\}\([0-9][0-9.]*\).*/\1/p' | head -n 1
}

build() {
    make_work "$cache"
    cd "$work"
    need_go Telegraf "$go_needed" "; or install Telegraf $oldest or newer"
    say "setup: building Telegraf $version with Go $go_version, once: 2 to 5 minutes on two cores, less when Go's caches are warm"
    started=$(date +%s)
    reported=$started
    # No cgo: no C compiler is needed then, and Telegraf's own releases are built so too.
    # Linked in, because a build by "go install" does not know its version.
    GOBIN=$work CGO_ENABLED=0 go install -v -tags "$tags" \
        -ldflags "-s -w -X $module/internal.Version=$version" "$module/cmd/telegraf@v$version" >build.log 2>&1 &
    job=$!
    while kill -0 "$job" 2>/dev/null; do
        sleep 1
        now=$(date +%s)
        if [ $((now - reported)) -ge 15 ]; then
            reported=$now
            compiled=$(grep -vc '^go: ' build.log || :)
            say "setup: ... still building Telegraf: $((now - started)) s, $compiled packages; now at: $(tail -n 1 build.log)"
        fi
    done
    result=0
    wait "$job" || result=$?
    job=
    if [ "$result" != 0 ]; then
        tail -n 20 build.log >&2
        fail "Telegraf could not be built: see above (are the Go module proxy and its checksum database reachable?)"
    fi
    [ -n "$(version_of "$work/telegraf")" ] || fail "the Telegraf that was built does not run"
    mkdir -p "$(dirname -- "$cached")"
    mv -f "$work/telegraf" "$cached"
    say "setup: built $cached in $(($(date +%s) - started)) s"
}

given TELEGRAF_BINARY "${TELEGRAF_BINARY:-}"

if found=$(command -v telegraf 2>/dev/null); then
    found_version=$(version_of "$found")
    if at_least "$oldest" "${found_version:-0.0}"; then
        say "setup: using Telegraf $found_version on the PATH"
        printf '%s\n' "$found"
        exit 0
    fi
    say "setup: the Telegraf on the PATH is ${found_version:-of unknown version}; $oldest or newer is needed, so it is passed over"
fi

find_cache
cached=$cache/telegraf-$version-$(printf %s "$tags" | cksum | cut -d ' ' -f 1)/telegraf
if [ ! -x "$cached" ]; then
    build
fi
say "setup: using Telegraf $version: $cached"
printf '%s\n' "$cached"
