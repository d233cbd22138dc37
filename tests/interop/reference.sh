#!/usr/bin/env bash
# Runs the tests against the servers that set the standard, to see that the tests are right:
# mosquitto, nats-server, rabbitmq-server and Kafka. Tests of what only ours has are skipped.
#
#   tests/interop/reference.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")"
../../scripts/install-clients.sh
CACHE=${ROBUSTMQ_CACHE:-$HOME/.cache/robustmq}
export PATH=$PATH:/usr/sbin:/usr/lib/rabbitmq/bin

for package in mosquitto rabbitmq-server; do
    command -v "$package" >/dev/null || {
        echo "missing: $package (a Debian package)" >&2
        exit 1
    }
done
[ -x "$CACHE/bin/nats-server" ] ||
    GOBIN=$CACHE/bin go install github.com/nats-io/nats-server/v2@latest

scratch=$(mktemp -d)
started=()
cleanup() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$scratch"
}
trap cleanup EXIT
background() {
    local log=$1
    shift
    "$@" >"$scratch/$log.log" 2>&1 </dev/null &
    started+=($!)
}
until_open() {
    for _ in $(seq 600); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "nothing listens on $1:" >&2
    tail -n 20 "$scratch"/*.log >&2
    exit 1
}

cat >"$scratch/mosquitto.conf" <<EOF
listener 18830 127.0.0.1
allow_anonymous true
max_queued_messages 0
EOF
background mosquitto mosquitto -c "$scratch/mosquitto.conf"

background nats "$CACHE/bin/nats-server" -a 127.0.0.1 -p 14222

mkdir -p "$scratch/rabbit"
cat >"$scratch/rabbitmq.conf" <<EOF
listeners.tcp.1 = 127.0.0.1:15672
EOF
server=$(ls /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server | tail -n 1)
background rabbitmq env RABBITMQ_NODENAME=reference@localhost RABBITMQ_DIST_PORT=25699 \
    ERL_EPMD_PORT=24369 RABBITMQ_CONFIG_FILE="$scratch/rabbitmq" HOME="$scratch/rabbit" \
    RABBITMQ_MNESIA_BASE="$scratch/rabbit" RABBITMQ_LOG_BASE="$scratch/rabbit" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$scratch/rabbit/plugins" "$server"

cat >"$scratch/kafka.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:19093
listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093
advertised.listeners=PLAINTEXT://127.0.0.1:19092
controller.listener.names=CONTROLLER
log.dirs=$scratch/kafka
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
EOF
kafka=(java -Xmx512m -cp "$CACHE/maven/*")
"${kafka[@]}" kafka.tools.StorageTool format -t "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22)" \
    -c "$scratch/kafka.properties" >"$scratch/format.log" 2>&1 ||
    "${kafka[@]}" org.apache.kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg \
        -c "$scratch/kafka.properties"
background kafka "${kafka[@]}" kafka.Kafka "$scratch/kafka.properties"

for port in 18830 14222 15672 19092; do until_open "$port"; done
export INTEROP_MQTT=127.0.0.1:18830 INTEROP_NATS=127.0.0.1:14222
export INTEROP_AMQP=127.0.0.1:15672 INTEROP_KAFKA=127.0.0.1:19092
if [ "${1:-}" = "--shell" ]; then exec sleep infinity; fi
"$CACHE/venv/bin/pytest" "$@" .
