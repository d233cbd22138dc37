#!/usr/bin/env python3
"""Records what real clients say, as seeds for the fuzz targets.

Each client talks to a server through a proxy that writes down both directions:

    tests/capture.py --mqtt 127.0.0.1:1883 --nats 127.0.0.1:4222 --kafka .. --amqp .. [--out fuzz/seeds]

Run it with the interop tests' Python. Any server will do; the checked-in seeds were recorded against
mosquitto, nats-server, Kafka and RabbitMQ.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "interop"))
LARGEST = 8_192


class Proxy:
    """Passes connections on to `target` and keeps the bytes of each, by direction."""

    def __init__(self, target):
        self.target, self.streams = target, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            said, heard = bytearray(), bytearray()
            self.streams.append((said, heard))
            for source, sink, record in ((client, server, said), (server, client, heard)):
                threading.Thread(target=self._pump, args=(source, sink, record), daemon=True).start()

    def _pump(self, source, sink, record):
        # A Kafka broker tells clients where it is: [host][port: i32]. They are to come here instead.
        there, here = (
            address[0].encode() + struct.pack(">i", address[1]) for address in (self.target, self.address)
        )
        try:
            while data := source.recv(1 << 20):
                record += data
                sink.sendall(data.replace(there, here))
        except OSError:
            pass
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.close()


def mqtt_clients():
    from harness.mqtt import VERSIONS, Client, MosquittoSub, mosquitto_pub, properties

    def paho(name):
        def run(address):
            version = VERSIONS[name]
            will = {"topic": "w", "payload": b"gone", "qos": 1}
            with Client(address, version, f"seed-{name}", will=will) as client:
                client.subscribe("a/+/#", 2)
                values = {}
                if name == "5":
                    values = {
                        "ContentType": "text/plain",
                        "ResponseTopic": "r",
                        "CorrelationData": b"\0\1",
                        "MessageExpiryInterval": 60,
                        "PayloadFormatIndicator": 1,
                        "UserProperty": [("a", "1"), ("a", "2")],
                    }
                for qos in (0, 1, 2):
                    client.publish("a/b/c", b"payload", qos, retain=qos == 1, **values)
                    client.next()
                client.unsubscribe("a/+/#")
                if name == "5":
                    client.subscribe("s", 1, properties=properties("SUBSCRIBE", SubscriptionIdentifier=9), noLocal=True)

        return run

    def mosquitto(address):
        sub = MosquittoSub(address, "m/#", "3.1.1", 1)
        mosquitto_pub(address, "m/x", "hello", "5", 2, ["-D", "publish", "user-property", "k", "v"])
        sub.next()
        sub.close()

    return {"paho-3.1": paho("3.1"), "paho-3.1.1": paho("3.1.1"), "paho-5": paho("5"), "mosquitto": mosquitto}


def nats_clients():
    import nats

    def nats_py(address):
        async def run():
            connection = await nats.connect(f"nats://{address[0]}:{address[1]}")

            async def answer(message):
                await message.respond(b"re")

            await connection.subscribe("svc.*", "workers", cb=answer)
            await connection.request("svc.x", b"question", timeout=5)
            subscription = await connection.subscribe("h.>")
            await connection.publish("h.x", b"body", headers={"A": "b", "C": "d"})
            await subscription.next_msg(5)
            await subscription.unsubscribe(3)
            try:
                await connection.request("nobody", b"", timeout=5)
            except nats.errors.NoRespondersError:
                pass
            await connection.close()

        asyncio.run(run())

    def go(address):
        from harness.kafka import cache

        for scenario in ("headers", "unsub-after", "no-responders"):
            url = f"nats://{address[0]}:{address[1]}"
            subprocess.run([cache() / "bin/nats-go-client", url, scenario], check=True, capture_output=True, timeout=30)

    return {"nats-py": nats_py, "nats-go": go}


def kafka_wire_clients(topic):
    # Versions that today's clients do not send, with the definitions of kafka-python.
    from harness import kafka as k

    def run(address):
        with k.Wire(address) as wire:
            for version in (0, 3):
                wire.call("ApiVersions", version)
            wire.call("Metadata", 12, topics=None)
            k.create_topic(wire, topic)
            identity = wire.call("InitProducerId", 4, transactional_id=None, transaction_timeout_ms=1_000)
            for number, codec in enumerate(k.CODECS):
                records = [(b"key", b"value" * 5, [("h", b"v")]), (b"key", None, [])]
                k.produce(wire, topic, k.batch(records, codec, identity.producer_id, 0, 2 * number), 9)
            k.produce(wire, topic, k.batch(records), 3)
            for version in (4, 11, 12):
                k.fetch(wire, topic, version=version, wait_ms=0)
            wire.call("FindCoordinator", 2, key="g", key_type=0)
            wire.call("FindCoordinator", 4, key_type=0, coordinator_keys=["g"])
            protocol = k.REQUESTS["JoinGroupRequest"].JoinGroupRequestProtocol(name="range", metadata=b"\0\1\0\0\0\0\0\0\0\0")
            joined = wire.call(
                "JoinGroup", 3, group_id=topic, session_timeout_ms=6_000, rebalance_timeout_ms=100,
                member_id="", protocol_type="consumer", protocols=[protocol],
            )
            assignment = k.REQUESTS["SyncGroupRequest"].SyncGroupRequestAssignment(member_id=joined.member_id, assignment=b"a")
            wire.call(
                "SyncGroup", 3, group_id=topic, generation_id=joined.generation_id,
                member_id=joined.member_id, group_instance_id=None, assignments=[assignment],
            )
            wire.call(
                "Heartbeat", 4, group_id=topic, generation_id=joined.generation_id,
                member_id=joined.member_id, group_instance_id=None,
            )
            wire.call("DescribeGroups", 5, groups=[topic], include_authorized_operations=False)
            wire.call("ListGroups", 4, states_filter=[])

    return run


def kafka_clients():
    import confluent_kafka
    import kafka
    from harness.kafka import finish, java, kcat

    topic = "seed-" + uuid.uuid4().hex[:8]

    def bootstrap(address):
        return f"{address[0]}:{address[1]}"

    def kcat_client(address):
        kcat(address, "-P", "-t", topic, "-K", ":", "-z", "snappy", given="k:v\nl:w\n")
        kcat(address, "-C", "-t", topic, "-e", "-o", "beginning")

    def librdkafka(address):
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": bootstrap(address), "enable.idempotence": True, "compression.type": "zstd"}
        )
        producer.produce(topic, b"v", b"k", headers=[("h", b"x")])
        producer.flush(10)
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": bootstrap(address), "group.id": topic, "auto.offset.reset": "earliest"}
        )
        consumer.subscribe([topic])
        consumer.consume(3, 10)
        consumer.commit(asynchronous=False)
        consumer.close()

    def kafka_python(address):
        producer = kafka.KafkaProducer(bootstrap_servers=bootstrap(address), compression_type="gzip")
        producer.send(topic, b"v", b"k").get(10)
        producer.close()
        consumer = kafka.KafkaConsumer(
            topic, bootstrap_servers=bootstrap(address), group_id=topic + "p", auto_offset_reset="earliest"
        )
        next(consumer)
        consumer.commit()
        consumer.close()

    def java_tools(address):
        producing = java(
            "org.apache.kafka.tools.ConsoleProducer",
            *("--bootstrap-server", bootstrap(address), "--topic", topic, "--compression-codec", "lz4"),
            stdin=-1,
        )
        finish(producing, "one\ntwo\n")
        consuming = java(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            *("--bootstrap-server", bootstrap(address), "--topic", topic, "--group", topic + "j"),
            *("--from-beginning", "--max-messages", 2),
        )
        finish(consuming)
        groups = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
        finish(java(groups, "--bootstrap-server", bootstrap(address), "--describe", "--all-groups"))

    return {
        "kcat": kcat_client,
        "librdkafka": librdkafka,
        "kafka-python": kafka_python,
        "java": java_tools,
        "old": kafka_wire_clients(topic + "w"),
    }


def amqp_clients():
    import pika

    from harness.amqp import Consumer, connect
    from harness.kafka import cache

    def pika_client(address):
        connection = connect(address)
        channel = connection.channel()
        channel.confirm_delivery()
        channel.exchange_declare("seed-x", "headers", auto_delete=True)
        queue = channel.queue_declare("", exclusive=True, arguments={"x-max-length": 10}).method.queue
        channel.queue_bind(queue, "seed-x", arguments={"x-match": "any", "a": 1, "b": "t"})
        channel.queue_bind(queue, "amq.topic", "a.*.#")
        channel.basic_qos(prefetch_count=5)
        properties = pika.BasicProperties(
            "text/plain", "gzip", {"a": 1, "t": {"n": None, "l": [1, True]}}, 2, 3, "c", "r", "60000", "m", 1, "t", "guest", "app"
        )
        for key in ("a.b", "a.b.c", "none"):
            channel.basic_publish("amq.topic", key, b"body", properties)
        consumer = Consumer(channel, queue)
        one, two = consumer.take(2)
        channel.basic_ack(one[0].delivery_tag)
        channel.basic_nack(two[0].delivery_tag, requeue=True)
        channel.basic_cancel(consumer.tag)
        channel.basic_get(queue)
        channel.queue_purge(queue)
        channel.queue_unbind(queue, "amq.topic", "a.*.#")
        connection.close()

    def node(address):
        url = f"amqp://guest:guest@{address[0]}:{address[1]}"
        for scenario in ("headers", "returned", "requeue", "missing"):
            subprocess.run(
                ["node", HERE / "interop/clients/node/amqp.js", url, scenario],
                env=os.environ | {"NODE_PATH": str(cache() / "npm/node_modules")},
                check=True,
                capture_output=True,
                timeout=30,
            )

    return {"pika": pika_client, "amqplib": node}


CLIENTS = {"mqtt": mqtt_clients, "nats": nats_clients, "kafka": kafka_clients, "amqp": amqp_clients}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE.parent / "fuzz/seeds")
    for protocol in CLIENTS:
        parser.add_argument(f"--{protocol}")
    options = parser.parse_args()
    for protocol, clients in CLIENTS.items():
        target = getattr(options, protocol)
        if not target:
            continue
        folder = options.out / f"{protocol}_decode"
        folder.mkdir(parents=True, exist_ok=True)
        host, port = target.rsplit(":", 1)
        for name, run in clients().items():
            proxy = Proxy((host, int(port)))
            run(proxy.address)
            for number, streams in enumerate(proxy.streams):
                for side, data in zip(("client", "server"), streams):
                    if data:
                        (folder / f"{name}-{number}-{side}").write_bytes(data[:LARGEST])
            proxy.close()
            print(f"{protocol} {name}: {len(proxy.streams)} connections")


if __name__ == "__main__":
    main()
