#!/bin/sh
# Find Kafka, or get it into the cache by Maven. Prints the path of a launcher on stdout: `kafka CLASS ARGUMENTS...` runs
# one of Kafka's programs (kafka.tools.StorageTool, kafka.Kafka) in Java. First $KAFKA_BINARY, then the cache; nothing
# is installed. Where Maven gets the packages from is Maven's own configuration.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

version=4.3.1
java_needed=17 # by Kafka 4's compatibility page
slf4j=1.7.36   # as that release's own slf4j-api

launcher() {
    # Small: it serves a few nodes for some minutes. The simpler compiler and collector start sooner on few processors.
    cat <<'END_OF_LAUNCHER'
#!/bin/sh
self=$(readlink -f "$0")
exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "${self%/*}/*" "$@"
END_OF_LAUNCHER
}

# Maven reads what to fetch from a project; this one has nothing but Kafka, and a logger that writes to stderr.
project() {
    cat <<END_OF_PROJECT
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>kafka</artifactId>
  <version>$version</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>$slf4j</version></dependency>
  </dependencies>
</project>
END_OF_PROJECT
}

get() {
    command -v mvn >/dev/null 2>&1 ||
        fail "Kafka has to be fetched, and there is no 'mvn' on the PATH. Install Maven 3 (on Debian: the package maven)"
    make_work "$cache"
    say "setup: fetching Kafka $version by Maven, once: 45 MB"
    project >"$work/pom.xml"
    if ! (cd "$work" && mvn --batch-mode dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work/jars") \
        >"$work/maven.log" 2>&1; then
        tail -n 20 "$work/maven.log" >&2
        fail "Maven could not fetch Kafka $version: see above (is its repository reachable?)"
    fi
    launcher >"$work/jars/kafka"
    chmod +x "$work/jars/kafka"
    rm -rf "$directory"
    mv "$work/jars" "$directory"
}

command -v java >/dev/null 2>&1 ||
    fail "Kafka needs Java, and there is no 'java' on the PATH. Install Java $java_needed or newer (on Debian: the package default-jre-headless)"
java_version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9.]*\).*/\1/p' | head -n 1)
at_least "$java_needed" "${java_version:-0}" ||
    fail "Kafka $version needs Java $java_needed or newer, and this one is ${java_version:-broken}"

given KAFKA_BINARY "${KAFKA_BINARY:-}"

find_cache
directory=$cache/kafka-$version
if [ ! -x "$directory/kafka" ]; then
    get
fi
say "setup: using Kafka $version with Java $java_version: $directory/kafka"
printf '%s\n' "$directory/kafka"
