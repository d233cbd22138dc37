"""One way to publish and one way to listen for each protocol, with the parts of a message by name.

The names of headers come from the server's own field map, so that the table is what is tested.
"""

import json
import re
import time

import confluent_kafka
import pika

from . import kafka as kafka_wire
from .amqp import Consumer, connect
from .mqtt import Client
from .nats import Bare
from .server import run_cli
from .waiting import PATIENCE


def field_map():
    """{field: {protocol: {name, header, reads, rule}}} as `robust-server field-map --json` says."""
    done = run_cli("field-map", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert isinstance(rows, list), "one object for each field"
    return {re.sub("[^a-z]", "", row["field"].lower()): row for row in rows}


class Translator:
    """Splits the parts of a message into what a protocol has a place for and what goes as a header."""

    def __init__(self, fields, protocol):
        self.fields, self.protocol = fields, protocol

    def carrier(self, field):
        return self.fields[field][self.protocol]

    def names_sent(self, field):
        """The header that sets a field, or None when it is a part of the packet."""
        carrier = self.carrier(field)
        return carrier["name"] if carrier["header"] else None

    def names_seen(self, field):
        """The header that shows a field of another protocol's message."""
        carrier = self.carrier(field)
        other = re.search(r"show it as (\S+)", carrier["rule"])
        if other:
            return other[1].rstrip(".;,")
        return carrier["name"] if carrier["header"] else None

    def can_send(self, field):
        carrier = self.carrier(field)
        return bool(carrier["name"]) and carrier["reads"]

    def shows(self, field):
        return bool(self.carrier(field)["name"])

    def as_headers(self, message):
        """The free headers and those that carry fields, as (name, text) pairs."""
        pairs = list(message.get("headers", ()))
        for field, value in message.items():
            name = self.names_sent(field) if field in self.fields and field != "headers" else None
            if name:
                pairs.append((name, value if isinstance(value, str) else value.decode()))
        return pairs

    def from_headers(self, pairs):
        """{field: text} and the free headers."""
        found, free = {}, []
        names = {self.names_seen(field): field for field in self.fields if self.names_seen(field)}
        for name, value in pairs:
            if name in names:
                found[names[name]] = value
            else:
                free.append((name, value))
        return found | {"headers": free}


class Mqtt:
    name = "mqtt"

    def __init__(self, server, fields):
        self.address, self.words = server.address("mqtt"), Translator(fields, "mqtt")

    def publish(self, tokens, message, qos=1):
        values = {"UserProperty": self.words.as_headers(message)}
        if "contenttype" in message:
            values["ContentType"] = message["contenttype"]
        if "replyto" in message:
            values["ResponseTopic"] = "/".join(message["replyto"])
        if "correlation" in message:
            values["CorrelationData"] = message["correlation"]
        if "expiry" in message:
            values["MessageExpiryInterval"] = int(message["expiry"])
        with Client(self.address) as client:
            client.publish("/".join(tokens), message["payload"], qos, **values)

    def listen(self, tokens):
        client = Client(self.address).connect()
        client.subscribe("/".join(tokens), 1)

        def receive():
            got = client.next()
            client.disconnect()
            props = got.properties
            message = self.words.from_headers(getattr(props, "UserProperty", []))
            message |= {"payload": got.payload, "subject": got.topic.split("/")}
            for field, attribute in (
                ("contenttype", "ContentType"),
                ("correlation", "CorrelationData"),
                ("expiry", "MessageExpiryInterval"),
            ):
                if hasattr(props, attribute):
                    message[field] = getattr(props, attribute)
            if hasattr(props, "ResponseTopic"):
                message["replyto"] = props.ResponseTopic.split("/")
            return message

        return receive


class Kafka:
    name = "kafka"

    def __init__(self, server, fields):
        self.address, self.words = server.address("kafka"), Translator(fields, "kafka")

    def config(self, **more):
        return {"bootstrap.servers": f"{self.address[0]}:{self.address[1]}", **more}

    def publish(self, tokens, message):
        # A topic comes into being with the first record; name it before, as a user would.
        outcome = []
        producer = confluent_kafka.Producer(self.config(acks="all"))
        producer.produce(
            ".".join(tokens),
            message["payload"],
            message.get("key"),
            headers=[(name, value) for name, value in self.words.as_headers(message)],
            timestamp=message.get("timestamp", 0),
            on_delivery=lambda error, _: outcome.append(error),
        )
        producer.flush(PATIENCE)
        assert outcome == [None], outcome

    def listen(self, tokens):
        topic = ".".join(tokens)
        with kafka_wire.Wire(self.address) as wire:
            kafka_wire.create_topic(wire, topic)

        def receive():
            consumer = confluent_kafka.Consumer(self.config(**{"group.id": topic, "enable.auto.commit": False}))
            consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
            got = consumer.poll(PATIENCE)
            consumer.close()
            assert got is not None and got.error() is None, got
            pairs = [(name, value.decode("utf-8", "surrogateescape")) for name, value in got.headers() or []]
            message = self.words.from_headers(pairs)
            message |= {"payload": got.value(), "subject": topic.split("."), "timestamp": got.timestamp()[1]}
            if got.key() is not None:
                message["key"] = got.key()
            if "replyto" in message:
                message["replyto"] = message["replyto"].split(".")
            if "correlation" in message:
                message["correlation"] = message["correlation"].encode("utf-8", "surrogateescape")
            if "expiry" in message:
                message["expiry"] = int(message["expiry"]) / 1_000 - time.time()
            return message

        return receive


class Nats:
    name = "nats"

    def __init__(self, server, fields):
        self.address, self.words = server.address("nats"), Translator(fields, "nats")

    def publish(self, tokens, message):
        pairs = self.words.as_headers(message)
        block = b"NATS/1.0\r\n" + b"".join(f"{n}: {v}\r\n".encode() for n, v in pairs) + b"\r\n"
        reply = (" " + ".".join(message["replyto"])) if "replyto" in message else ""
        total = len(block) + len(message["payload"])
        with Bare(self.address) as bare:
            bare.send(f"HPUB {'.'.join(tokens)}{reply} {len(block)} {total}\r\n".encode())
            bare.send(block + message["payload"] + b"\r\n").ping()

    def listen(self, tokens):
        bare = Bare(self.address)
        bare.send(f"SUB {'.'.join(tokens)} 1\r\n").ping()

        def receive():
            subject, _, reply, block, payload = bare.message()
            bare.close()
            lines = block.decode("utf-8", "surrogateescape").split("\r\n")[1:-2] if block else []
            pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
            message = self.words.from_headers(pairs)
            message |= {"payload": payload, "subject": subject.decode().split(".")}
            if reply:
                message["replyto"] = reply.decode().split(".")
            for field in ("correlation", "key"):
                if field in message:
                    message[field] = message[field].encode()
            return message

        return receive


class Amqp:
    name = "amqp"

    def __init__(self, server, fields):
        self.address, self.words = server.address("amqp"), Translator(fields, "amqp")

    def publish(self, tokens, message):
        parts = {"delivery_mode": 2, "headers": dict(self.words.as_headers(message)) or None}
        if "contenttype" in message:
            parts["content_type"] = message["contenttype"]
        if "replyto" in message:
            parts["reply_to"] = ".".join(message["replyto"])
        if "correlation" in message:
            parts["correlation_id"] = message["correlation"].decode()
        if "expiry" in message:
            parts["expiration"] = str(int(message["expiry"]) * 1_000)
        if "timestamp" in message:
            parts["timestamp"] = message["timestamp"] // 1_000
        if "messageid" in message:
            parts["message_id"] = message["messageid"]
        if "priority" in message:
            parts["priority"] = int(message["priority"])
        connection = connect(self.address)
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("amq.topic", ".".join(tokens), message["payload"], pika.BasicProperties(**parts))
        connection.close()

    def listen(self, tokens):
        connection = connect(self.address)
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "amq.topic", ".".join(tokens))
        consumer = Consumer(channel, queue, auto_ack=True)

        def receive():
            method, props, body = consumer.next()
            connection.close()
            message = self.words.from_headers(list((props.headers or {}).items()))
            message |= {"payload": body, "subject": method.routing_key.split(".")}
            for field, attribute in (
                ("contenttype", "content_type"),
                ("messageid", "message_id"),
                ("priority", "priority"),
            ):
                if getattr(props, attribute) is not None:
                    message[field] = str(getattr(props, attribute))
            if props.reply_to is not None:
                message["replyto"] = props.reply_to.split(".")
            if props.correlation_id is not None:
                message["correlation"] = props.correlation_id.encode()
            if props.expiration is not None:
                message["expiry"] = int(props.expiration) / 1_000
            if props.timestamp is not None:
                message["timestamp"] = props.timestamp * 1_000
            if "key" in message and isinstance(message["key"], str):
                message["key"] = message["key"].encode()
            return message

        return receive


PROTOCOLS = {each.name: each for each in (Mqtt, Kafka, Nats, Amqp)}
