#!/usr/bin/env bash
# The clients that the interop tests drive, each from its own registry, in $ROBUSTMQ_CACHE.
#
#   install-clients.sh        all of them
#   install-clients.sh try    mosquitto's and the Python ones: what README's first lines use
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
CACHE=${ROBUSTMQ_CACHE:-$HOME/.cache/robustmq}
export ROBUSTMQ_CACHE=$CACHE
mkdir -p "$CACHE"
# One at a time, when several clones share the cache.
exec 9>"$CACHE/clients.lock"
flock 9

only=${1:-all}
packages_for python3:python3 mosquitto_pub:mosquitto-clients
[ "$only" = try ] || packages_for kcat:kcat java:default-jre-headless mvn:maven \
    node:nodejs npm:npm go:golang-go
# A Python of the distribution comes without ensurepip.
python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv

clients=tests/interop/clients

if ! stamped venv "$clients/requirements.txt" || ! "$CACHE/venv/bin/python" -c '' 2>/dev/null; then
    say "installing Python clients"
    rm -rf "$CACHE/venv"
    python3 -m venv "$CACHE/venv"
    "$CACHE/venv/bin/pip" install -q -r "$clients/requirements.txt" </dev/null
    stamp venv "$clients/requirements.txt"
fi
ln -sfn "$CACHE/venv" .venv
[ "$only" != try ] || exit 0

if ! stamped npm "$clients/node/package.json" "$clients/node/package-lock.json"; then
    say "installing Node clients"
    rm -rf "$CACHE/npm"
    mkdir -p "$CACHE/npm"
    cp "$clients/node/package.json" "$clients/node/package-lock.json" "$CACHE/npm/"
    (cd "$CACHE/npm" && npm ci --silent --no-audit --no-fund </dev/null)
    stamp npm "$clients/node/package.json" "$clients/node/package-lock.json"
fi

if ! stamped maven "$clients/java/pom.xml"; then
    say "installing Kafka's Java tools"
    rm -rf "$CACHE/maven"
    mvn -B -q -Dstyle.color=never -f "$clients/java/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$CACHE/maven" </dev/null
    stamp maven "$clients/java/pom.xml"
fi

if ! stamped go "$clients"/go/go.mod "$clients"/go/go.sum "$clients"/go/*.go; then
    say "building the Go client"
    go=go
    # A Go of 1.21 or later fetches the release that go.mod asks for by itself.
    minor=$(go env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
    if [ "$minor" -lt 21 ]; then
        release=go$(sed -n 's/^go //p' "$clients/go/go.mod")
        GOBIN="$CACHE/bin" go install "golang.org/dl/$release@latest"
        go="$CACHE/bin/$release"
        "$go" download >/dev/null 2>&1
    fi
    mkdir -p "$CACHE/bin"
    (cd "$clients/go" && "$go" build -o "$CACHE/bin/nats-go-client" . </dev/null)
    stamp go "$clients"/go/go.mod "$clients"/go/go.sum "$clients"/go/*.go
fi
