"""One message, any protocol: all directions by the field map, requests, one copy, kill -9."""

import os
import threading
import time

import confluent_kafka
import pika
import pytest

from harness import kafka as wire
from harness.across import PROTOCOLS, Kafka, Translator, field_map
from harness.amqp import Consumer, connect
from harness.mqtt import Client, properties
from harness.nats import Bare, with_nats
from harness.waiting import PATIENCE, wait_until

PERSISTENT = pika.BasicProperties(delivery_mode=2)
DIRECTIONS = [(source, target) for source in PROTOCOLS for target in PROTOCOLS if source != target]


@pytest.fixture(scope="module")
def fields():
    return field_map()


def full_message(token):
    return {
        "payload": bytes(range(256)) * 3,
        "key": b"customer-7",
        "headers": [("colour", "red"), ("size", "grüße")],
        "contenttype": "application/json; v=1",
        "replyto": ["answers", token],
        "correlation": b"corr-42",
        "expiry": "60",
        "timestamp": 1_600_000_000_000,
        "messageid": "id-1",
        "priority": "5",
    }


@pytest.mark.parametrize(("source", "target"), DIRECTIONS, ids=[f"{s}-to-{t}" for s, t in DIRECTIONS])
def test_each_part_of_a_message_arrives_by_the_field_map(ours, fields, token, source, target):
    tokens = ["across", token, "temp"]
    sender, receiver = PROTOCOLS[source](ours, fields), PROTOCOLS[target](ours, fields)
    sent = {
        field: value for field, value in full_message(token).items() if Translator(fields, source).can_send(field)
    }
    receive = receiver.listen(tokens)
    sender.publish(tokens, sent)
    got = receive()
    assert got["payload"] == sent["payload"]
    assert got["subject"] == tokens
    assert [pair for pair in got["headers"] if pair in sent["headers"]] == sent["headers"], got
    shows = Translator(fields, target).shows
    for field in ("contenttype", "correlation", "messageid", "priority", "key"):
        if field in sent and shows(field):
            assert as_text(got.get(field)) == as_text(sent[field]), (field, got)
    if "expiry" in sent and shows("expiry"):
        assert 50 <= float(got["expiry"]) <= 61, got
    if "timestamp" in sent and shows("timestamp"):
        assert got["timestamp"] == sent["timestamp"], got
    elif target == "kafka":
        assert abs(got["timestamp"] / 1_000 - time.time()) < 60, "the time of its arrival"
    # AMQP's is the name of a queue, which is no subject that Kafka could show.
    if "replyto" in sent and shows("replyto") and (source, target) != ("amqp", "kafka"):
        assert got["replyto"], got
        if target == "kafka":
            assert got["replyto"] == sent["replyto"], got
    if target == "kafka" and "key" not in sent:
        assert got["key"] == ".".join(tokens).encode(), "without a key the subject is shown"


def as_text(value):
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize(("source", "target"), DIRECTIONS, ids=[f"{s}-to-{t}" for s, t in DIRECTIONS])
def test_a_bare_message_arrives_without_inventions(ours, fields, token, source, target):
    tokens = ["bare", token]
    sender, receiver = PROTOCOLS[source](ours, fields), PROTOCOLS[target](ours, fields)
    receive = receiver.listen(tokens)
    sender.publish(tokens, {"payload": b""})
    got = receive()
    assert got["payload"] == b""
    for field in ("contenttype", "correlation", "messageid", "replyto", "expiry"):
        assert field not in got, (field, got)


def test_what_cannot_be_expressed_is_dropped_and_the_rest_kept(ours, fields, token):
    tokens = ["drop", token]
    kafka = Kafka(ours, fields)
    kafka.listen(tokens)
    with Client(ours.address("mqtt")) as mqtt, Bare(ours.address("nats")) as nats:
        mqtt.subscribe("/".join(tokens), 1)
        nats.send(f"SUB {'.'.join(tokens)} 1\r\n").ping()
        connection = connect(ours.address("amqp"))
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "amq.topic", ".".join(tokens))
        consumer = Consumer(channel, queue, auto_ack=True)
        headers = [("a", b"1"), ("bad", b"\xff\xfe"), ("null", None), ("a", b"2"), ("line", b"x\r\ny")]
        producer = confluent_kafka.Producer(kafka.config())
        producer.produce(".".join(tokens), None, headers=headers)
        assert producer.flush(PATIENCE) == 0
        got = mqtt.next()
        pairs = [pair for pair in got.properties.UserProperty if pair[0] in ("a", "bad", "null", "line")]
        assert got.payload == b"", "null reads as empty"
        assert pairs == [("a", "1"), ("a", "2"), ("line", "x\r\ny")]
        _, _, _, block, payload = nats.message()
        assert payload == b""
        lines = [line for line in block.split(b"\r\n") if line.partition(b":")[0] in (b"a", b"bad", b"null", b"line")]
        assert [line.replace(b" ", b"") for line in lines] == [b"a:1", b"a:2"]
        _, props, body = consumer.next()
        assert body == b""
        assert props.headers["a"] in ("2", b"2"), "of a repeated name the last one"
        connection.close()


def test_a_nats_request_is_answered_by_an_mqtt_5_client(ours, token):
    with Client(ours.address("mqtt")) as service:
        service.subscribe(f"svc/{token}", 1)

        def serve():
            for _ in range(3):
                asked = service.next()
                values = {}
                if hasattr(asked.properties, "CorrelationData"):
                    values["CorrelationData"] = asked.properties.CorrelationData
                service.paho.publish(
                    asked.properties.ResponseTopic, b"re: " + asked.payload, 0, False,
                    properties("PUBLISH", **values),
                )

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        async def scenario(client):
            for number in range(3):
                answer = await client.request(f"svc.{token}", b"%d" % number, timeout=PATIENCE)
                assert answer.data == b"re: %d" % number

        with_nats(ours.address("nats"), scenario)
        thread.join(PATIENCE)


@pytest.mark.parametrize("correlation", [b"c1", bytes(range(256)), None], ids=["text", "binary", "none"])
def test_an_mqtt_5_request_is_answered_by_a_nats_client(ours, token, correlation):
    with Client(ours.address("mqtt")) as client, Bare(ours.address("nats")) as service:
        service.send(f"SUB svc.{token} 1\r\n").ping()
        client.subscribe(f"answers/{token}", 1)
        values = {"ResponseTopic": f"answers/{token}"}
        if correlation is not None:
            values["CorrelationData"] = correlation
        client.publish(f"svc/{token}", b"question", 1, **values)
        subject, _, reply, _, payload = service.message()
        assert payload == b"question" and reply
        service.send(b"PUB " + reply + b" 6\r\nanswer\r\n").ping()
        got = client.next()
        assert (got.topic, got.payload) == (f"answers/{token}", b"answer")
        assert getattr(got.properties, "CorrelationData", None) == correlation, "restored bit by bit"


def test_an_amqp_rpc_client_is_answered_by_nats_and_mqtt(ours, token):
    connection = connect(ours.address("amqp"))
    channel = connection.channel()
    replies = channel.queue_declare("", exclusive=True).method.queue
    consumer = Consumer(channel, replies, auto_ack=True)
    asked = pika.BasicProperties(reply_to=replies, correlation_id="c-9")
    with Bare(ours.address("nats")) as service:
        service.send(f"SUB svc.{token} 1\r\n").ping()
        channel.basic_publish("amq.topic", f"svc.{token}", b"question", asked)
        _, _, reply, _, payload = service.message()
        assert payload == b"question"
        service.send(b"PUB " + reply + b" 4\r\nnats\r\n").ping()
        _, props, body = consumer.next()
        assert (body, props.correlation_id) == (b"nats", "c-9")
    with Client(ours.address("mqtt")) as service:
        service.subscribe(f"svc/{token}", 0)
        channel.basic_publish("amq.topic", f"svc.{token}", b"question", asked)
        got = service.next()
        values = {"CorrelationData": got.properties.CorrelationData} if hasattr(got.properties, "CorrelationData") else {}
        service.publish(got.properties.ResponseTopic, b"mqtt", 0, **values)
        _, props, body = consumer.next()
        assert (body, props.correlation_id) == (b"mqtt", "c-9")
    connection.close()


def test_a_nats_request_is_answered_by_an_amqp_worker(ours, token):
    connection = connect(ours.address("amqp"))
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "amq.topic", f"svc.{token}")
    consumer = Consumer(channel, queue, auto_ack=True)
    with Bare(ours.address("nats")) as client:
        client.send(f"SUB _INBOX.{token} 1\r\nPUB svc.{token} _INBOX.{token} 1\r\n?\r\n").ping()
        _, props, body = consumer.next()
        assert body == b"?"
        channel.basic_publish("", props.reply_to, b"!", pika.BasicProperties(correlation_id=props.correlation_id))
        assert client.message()[4] == b"!"
    connection.close()


def test_subjects_that_need_escaping_have_one_form_in_each_protocol(ours, token):
    """A dot inside an MQTT level is no separator, and a slash inside a NATS token neither."""
    with Client(ours.address("mqtt")) as mqtt, Bare(ours.address("nats")) as nats:
        nats.send(f"SUB {token}.> 1\r\n").ping()
        other = Bare(ours.address("nats"))
        mqtt.subscribe(f"{token}/#", 1)
        mqtt.publish(f"{token}/a.b/c", b"1", 1)
        subject = nats.message()[0].decode()
        assert len(subject.split(".")) == 3 and subject != f"{token}.a.b.c"
        other.send(f"PUB {subject} 1\r\n2\r\n").ping()
        assert [mqtt.next().topic for _ in range(2)] == [f"{token}/a.b/c"] * 2, "there and back"
        other.send(f"PUB {token}.a.b.c 1\r\n3\r\n").ping()
        assert mqtt.next().topic == f"{token}/a/b/c"
        other.close()


def test_private_subjects_do_not_cross(ours, token):
    with Client(ours.address("mqtt")) as mqtt, Bare(ours.address("nats")) as nats:
        nats.send(f"SUB $x{token}.a 1\r\nSUB > 2\r\nSUB {token} 3\r\n").ping()
        mqtt.publish(f"$x{token}/a", b"private", 0)
        mqtt.publish(token, b"shared", 1)
        got = {nats.message()[4] for _ in range(2)}
        assert got == {b"shared"}
        nats.ping()


def test_thousand_messages_for_many_readers_are_stored_once(own_server, token):
    address = own_server.address
    connection = connect(address("amqp"))
    channel = connection.channel()
    topic = f"one.{token}"
    queues = [f"{token}-{n}" for n in range(10)]
    for queue in queues:
        channel.queue_declare(queue, durable=True)
        channel.queue_bind(queue, "amq.topic", topic)
    for number in range(3):
        with Client(address("mqtt"), client_id=f"{token}-{number}", clean=False, expiry=600) as session:
            session.subscribe(f"one/{token}", 1)
    with wire.Wire(address("kafka")) as kafka:
        wire.create_topic(kafka, topic)
    before = own_server.data_bytes()
    bodies = [os.urandom(10_000) for _ in range(1_000)]
    # Many in flight: a commit takes whole blocks of the disk, so one message per commit takes more.
    publisher = Client(address("mqtt"))
    publisher.paho.max_inflight_messages_set(100)
    with publisher:
        for info in [publisher.paho.publish(f"one/{token}", body, 1) for body in bodies]:
            info.wait_for_publish(PATIENCE)
            assert info.is_published()
    grown = own_server.data_bytes() - before
    assert grown > 10_000_000, "the messages are stored"
    assert grown < 12_000_000, f"{grown} bytes for 10,000,000"
    for queue in queues:
        consumer = Consumer(channel, queue, auto_ack=True)
        assert [body for _, _, body in consumer.take(1_000)] == bodies, queue
        channel.basic_cancel(consumer.tag)
    for number in range(3):
        with Client(address("mqtt"), client_id=f"{token}-{number}", clean=False, expiry=600) as session:
            assert [message.payload for message in session.take(1_000)] == bodies
    assert read_topic(address("kafka"), topic, 1_000) == bodies
    connection.close()


def read_topic(address, topic, count):
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": f"{address[0]}:{address[1]}", "group.id": "reader", "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    values, end = [], time.monotonic() + 30
    while len(values) < count:
        assert time.monotonic() < end, f"{len(values)} of {count}"
        for message in consumer.consume(count - len(values), 0.2):
            assert message.error() is None, message.error()
            values.append(message.value())
    consumer.close()
    return values


def publish_until_killed(publish, acknowledged, kill_at, killed):
    for number in range(1_000_000):
        try:
            publish(b"%d" % number)
        except Exception:
            # The server was killed under it: what is not acknowledged does not count.
            return
        acknowledged.append(number)
        if len(acknowledged) == kill_at:
            killed.set()


def mqtt_publisher(server, topic):
    client = Client(server.address("mqtt")).connect()

    def publish(body):
        info = client.paho.publish(topic.replace(".", "/"), body, 1)
        while not info.is_published():
            assert client.ended.empty()
            time.sleep(0.0005)

    return publish, client.disconnect


def kafka_publisher(server, topic):
    connection = wire.Wire(server.address("kafka"))

    def publish(body):
        assert wire.produce(connection, topic, wire.batch([(None, body, [])])).error_code == 0

    return publish, connection.close


def amqp_publisher(server, topic):
    connection = connect(server.address("amqp"))
    channel = connection.channel()
    channel.confirm_delivery()
    return lambda body: channel.basic_publish("amq.topic", topic, body, PERSISTENT), lambda: None


@pytest.mark.parametrize("publisher", [mqtt_publisher, kafka_publisher, amqp_publisher])
def test_nothing_acknowledged_is_lost_when_the_server_is_killed_at_work(own_server, token, publisher):
    topic = f"kill.{token}"
    with wire.Wire(own_server.address("kafka")) as kafka:
        wire.create_topic(kafka, topic)
    publish, close = publisher(own_server, topic)
    acknowledged, killed = [], threading.Event()
    thread = threading.Thread(target=publish_until_killed, args=(publish, acknowledged, 200, killed))
    thread.start()
    assert killed.wait(60), "200 acknowledgements"
    own_server.kill()
    thread.join(30)
    close()
    own_server.start()
    values = [int(value) for value in read_topic(own_server.address("kafka"), topic, len(acknowledged))]
    assert values[: len(acknowledged)] == acknowledged, "all of them, once, in their order"
    with wire.Wire(own_server.address("kafka")) as kafka:
        appended = wire.produce(kafka, topic, wire.batch([(None, b"after", [])]))
        assert appended.error_code == 0
        assert appended.base_offset >= len(acknowledged), "an offset is not given twice"


def test_a_late_kafka_consumer_reads_what_mqtt_published_before_the_topic_had_a_name(own_server, token):
    with Client(own_server.address("mqtt")) as client:
        for number in range(5):
            client.publish(f"late/{token}", b"%d" % number, 1)
    own_server.kill_and_restart()
    assert read_topic(own_server.address("kafka"), f"late.{token}", 5) == [b"0", b"1", b"2", b"3", b"4"]
    with Client(own_server.address("mqtt")) as client:
        client.publish(f"late/{token}", b"5", 1)
    assert len(read_topic(own_server.address("kafka"), f"late.{token}", 6)) == 6


def test_a_declared_stream_captures_what_core_nats_publishes(workers, tmp_path, token):
    from harness.server import Server

    more = f'\n[[stream]]\nname = "orders"\nfilters = ["orders/{token}/#"]\npartitions = 1\n'
    server = Server(tmp_path, workers, more)
    try:
        with Bare(server.address("nats")) as nats:
            for number in range(3):
                nats.send(f"PUB orders.{token}.{number} 1\r\n{number}\r\n")
            nats.ping()

        def stored():
            with wire.Wire(server.address("kafka")) as kafka:
                return b"".join([bytes(wire.fetch(kafka, "orders", wait_ms=0).records or b"")])

        wait_until(lambda: stored(), "the stream holds records")
        assert read_topic(server.address("kafka"), "orders", 3) == [b"0", b"1", b"2"]
    finally:
        server.close()
