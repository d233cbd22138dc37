"""A full disk: a data folder of 64 MiB. Who is refused, how, who waits, and that it ends by itself."""

import subprocess
import threading

import confluent_kafka
import pika
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from harness.amqp import connect
from harness.mqtt import V5, V311, Client
from harness.nats import Bare
from harness.server import Server
from harness.waiting import PATIENCE, let_time_pass, wait_until

SMALL = """
[storage]
segment_bytes = "1MiB"

[default_stream]
partitions = 2
max_bytes = "none"
"""
BODY = b"x" * 100_000


@pytest.fixture
def small(tmp_path):
    """A server on a disk of its own."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs rights that we do not have")
    server = None
    try:
        server = Server(tmp_path, 2, SMALL)
        yield server
        assert server.process.poll() is None, f"the server died\n{server.log()[-6000:]}"
    finally:
        if server is not None:
            server.close()
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


class Filler(threading.Thread):
    """Publishes until it is told to stop, so that what is freed is taken again."""

    def __init__(self, address, topic):
        super().__init__(daemon=True)
        self.client = Client(address, V5).connect()
        self.topic, self.stopped, self.stored, self.refused = topic, False, 0, set()
        self.start()

    def run(self):
        while not self.stopped:
            code = self.client.publish(self.topic, BODY, 1)
            if code.is_failure:
                self.refused.add(code.value)
            else:
                self.stored += 1

    def stop(self):
        self.stopped = True
        self.join(PATIENCE)
        self.client.disconnect()


def is_full(server):
    status, body = server.http("/health/ready")
    return status == 503 and "publishing is refused" in body and "disk" in body


def topic(server, name):
    address = "{}:{}".format(*server.address("kafka"))
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(PATIENCE)
    return admin, address


def metric(server, name):
    lines = server.http("/metrics")[1].splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name + " "))


def test_each_protocol_is_refused_in_its_own_words_and_goes_on_when_there_is_room(small):
    admin, address = topic(small, "big.topic")
    holder = Client(small.address("mqtt"), V5, "holder", expiry=3600).connect()
    holder.subscribe("held/#", 1)
    with Client(small.address("mqtt")) as early:
        early.publish("held/x", b"early", 1)
    assert holder.next().payload == b"early"
    connection = connect(small.address("amqp"))
    blocked = []
    connection.add_on_connection_blocked_callback(lambda *_: blocked.append(True))
    connection.add_on_connection_unblocked_callback(lambda *_: blocked.append(False))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("q", durable=True)
    lasting = pika.BasicProperties(delivery_mode=2)
    channel.basic_publish("", "q", b"early", lasting)

    filler = Filler(small.address("mqtt"), "big/topic")
    wait_until(lambda: is_full(small), "the disk is full", 60)
    wait_until(lambda: filler.refused == {0x97}, "MQTT 5 says quota exceeded", 20)

    # What was stored is read, and what was promised to nobody goes on.
    with Client(small.address("mqtt")) as live:
        live.subscribe("live", 0)
        live.publish("live", b"still", 0)
        assert live.next().payload == b"still"
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": "g", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition("big.topic", 0, confluent_kafka.OFFSET_BEGINNING)])
    message = consumer.poll(PATIENCE)
    assert message is not None and message.error() is None and message.value() == BODY
    consumer.close()

    def still(refused, what):
        """Space that the engine finds once more is filled again before the next try."""
        for _ in range(20):
            wait_until(lambda: is_full(small), "the disk is full again", 30)
            if refused():
                return
        raise AssertionError(f"{what} was not refused")

    def kafka_refuses():
        outcome = []
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": address, "acks": "all", "message.send.max.retries": 0, "delivery.timeout.ms": 5000}
        )
        producer.produce("big.topic", BODY, on_delivery=lambda error, _: outcome.append(error))
        producer.flush(PATIENCE)
        return outcome[0] is not None and outcome[0].code() == confluent_kafka.KafkaError.KAFKA_STORAGE_ERROR

    def amqp_refuses():
        try:
            channel.basic_publish("", "q", BODY, lasting)
        except pika.exceptions.NackError:
            return True
        return False

    still(kafka_refuses, "a Kafka batch")
    still(amqp_refuses, "a persistent AMQP message")
    wait_until(lambda: connection.process_data_events(0) or True in blocked, "connection.blocked", 10)
    # Acknowledging goes on, of what was there before.
    method, _, body = channel.basic_get("q")
    assert body == b"early"
    channel.basic_ack(method.delivery_tag)
    with Bare(small.address("nats")) as nats:
        nats.send(b"SUB inbox 1\r\n").ping()
        nats.send(b"PUB big.topic inbox 2\r\nhi\r\n")
        assert b"503" in nats.message()[3], "nobody took the request"

    # The operator makes room.
    filler.stop()
    where = confluent_kafka.TopicPartition("big.topic", 0, confluent_kafka.OFFSET_END)
    admin.delete_records([where])[where].result(PATIENCE)
    wait_until(small.is_ready, "it goes on by itself", 60)
    with Client(small.address("mqtt")) as late:
        assert not late.publish("held/x", b"late", 1).is_failure
    while (got := holder.next()).payload != b"late":
        pass
    assert got.payload == b"late"
    wait_until(lambda: connection.process_data_events(0) or blocked[-1] is False, "connection.unblocked", 10)
    channel.basic_publish("", "q", b"late", lasting)
    holder.disconnect()
    connection.close()
    log = small.log()
    assert log.count("publishing is refused: no space is left") == log.count("publishing goes on")


def test_an_older_mqtt_client_waits_and_its_acknowledgements_are_heard(small):
    admin, _ = topic(small, "big.topic")
    old = Client(small.address("mqtt"), V311, "old", clean=False).connect()
    old.subscribe("own/#", 1)
    filler = Filler(small.address("mqtt"), "big/topic")
    wait_until(lambda: is_full(small), "the disk is full", 60)
    for _ in range(50):
        wait_until(lambda: is_full(small), "the disk is full again", 30)
        info = old.paho.publish("own/x", b"waits", 1)
        let_time_pass(0.2, "an answer would have come")
        if info.mid not in old.published:
            break
    assert info.mid not in old.published, "no lie"
    assert metric(small, "robust_broker_parked") >= 1
    assert old.ended.empty(), "and no end"
    filler.stop()
    where = confluent_kafka.TopicPartition("big.topic", 0, confluent_kafka.OFFSET_END)
    admin.delete_records([where])[where].result(PATIENCE)
    wait_until(lambda: info.mid in old.published, "it is stored and acknowledged", 60)
    wait_until(lambda: b"waits" in [old.next().payload], "and delivered", 10)
    assert metric(small, "robust_broker_parked") == 0
    old.disconnect()


@pytest.fixture
def frozen(tmp_path):
    """A server, and what makes its data folder read-only and writable again."""
    server = Server(tmp_path, 2)

    def freeze(on):
        flag = "+i" if on else "-i"
        changed = subprocess.run(["chattr", "-R", flag, server.data], capture_output=True, check=False)
        if changed.returncode:
            pytest.skip("protecting files needs rights, or a file system, that we do not have")

    try:
        yield server, freeze
        assert server.process.poll() is None, f"the server died\n{server.log()[-6000:]}"
    finally:
        subprocess.run(["chattr", "-R", "-i", server.data], capture_output=True, check=False)
        server.close()


def test_a_folder_that_turns_read_only_is_read_on_and_written_again_when_it_may_be(frozen):
    server, freeze = frozen
    _, address = topic(server, "some.topic")
    connection = connect(server.address("amqp"))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("q", durable=True)
    lasting = pika.BasicProperties(delivery_mode=2)
    channel.basic_publish("", "q", b"early", lasting)
    holder = Client(server.address("mqtt"), V5, "holder", expiry=3600).connect()
    holder.subscribe("some/topic", 1)
    assert not holder.publish("some/topic", b"early", 1).is_failure
    assert holder.next().payload == b"early"

    freeze(True)
    wait_until(lambda: holder.publish("some/topic", b"no", 1).value == 0x97, "MQTT 5 says quota exceeded", 20)
    wait_until(lambda: is_full(server), "it is not ready", 20)
    outcome = []
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": address, "acks": "all", "message.send.max.retries": 0, "delivery.timeout.ms": 5000}
    )
    producer.produce("some.topic", b"no", on_delivery=lambda error, _: outcome.append(error))
    producer.flush(PATIENCE)
    assert outcome[0].code() == confluent_kafka.KafkaError.KAFKA_STORAGE_ERROR
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish("", "q", b"no", lasting)
    with Bare(server.address("nats")) as nats:
        nats.send(b"SUB inbox 1\r\n").ping()
        nats.send(b"PUB some.topic inbox 2\r\nno\r\n")
        assert b"503" in nats.message()[3], "nobody took the request"

    # What was stored is read, what was promised to nobody goes on, and nobody is cut off.
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": "g", "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition("some.topic", 0, confluent_kafka.OFFSET_BEGINNING)])
    message = consumer.poll(PATIENCE)
    assert message is not None and message.error() is None and message.value() == b"early"
    consumer.close()
    with Client(server.address("mqtt")) as live:
        live.subscribe("live", 0)
        live.publish("live", b"still", 0)
        assert live.next().payload == b"still"
    method, _, body = channel.basic_get("q")
    assert body == b"early"
    channel.basic_ack(method.delivery_tag)
    connection.process_data_events(0)
    assert channel.is_open
    assert "the data folder takes no writes" in server.log()
    assert "look at its mount, its permissions" in server.log()

    freeze(False)
    wait_until(server.is_ready, "it goes on by itself", 20)
    assert "the data folder takes writes again" in server.log()
    assert not holder.publish("some/topic", b"late", 1).is_failure
    assert holder.next().payload == b"late"
    channel.basic_publish("", "q", b"late", lasting)
    holder.disconnect()
    connection.close()


@pytest.fixture
def scarce(tmp_path):
    """A server that may use little memory."""
    server = Server(tmp_path, 2, '\n[memory]\nbudget = "48MiB"\n')
    yield server
    assert server.process.poll() is None, f"the server died\n{server.log()[-6000:]}"
    server.close()


def test_messages_that_live_in_memory_stay_within_the_budget(scarce):
    before = scarce.rss_bytes()
    connection = connect(scarce.address("amqp"))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("q", durable=False)
    taken = 0
    with pytest.raises(pika.exceptions.NackError):
        while taken < 2_000:
            channel.basic_publish("", "q", BODY)
            taken += 1
    assert 50 <= taken <= 500, taken
    grown = scarce.rss_bytes() - before
    assert grown < 96 << 20, f"{grown} bytes"
    budget = metric(scarce, "robust_memory_budget_bytes")
    assert budget == 48 << 20
    # What lasts is still taken, and others are let in.
    with Client(scarce.address("mqtt")) as other:
        assert not other.publish("a/b", b"lasts", 1).is_failure
    for _ in range(taken):
        method, _, body = channel.basic_get("q", auto_ack=True)
        assert body == BODY
    wait_until(lambda: metric(scarce, "robust_memory_level") == 0, "memory is free", 10)
    channel.basic_publish("", "q", BODY)
    connection.close()
