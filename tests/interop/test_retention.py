"""What streams keep: compaction by key, limits, and their configuration through clients' own tools."""

import time

import confluent_kafka
import paho.mqtt.client as paho
import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from harness.kafka import finish, java
from harness.mqtt import V5, V311, Client
from harness.server import Server
from harness.waiting import PATIENCE, wait_until

PROTOCOL = "kafka"
CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
DELETE_RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand"

STREAMS = """
[[stream]]
name = "few"
filters = ["few/#"]
max_records = 3

[[stream]]
name = "firm"
filters = ["firm/#"]
max_records = 2
refuse_when_full = true

[[stream]]
name = "last"
filters = ["last/#"]
max_per_subject = 1

[[stream]]
name = "brief"
filters = ["brief/#"]
max_age = "2s"
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A server with streams of its own."""
    server = Server(tmp_path_factory.mktemp("kept"), 2, STREAMS)
    yield server
    server.close()


def config(address, **more):
    return {"bootstrap.servers": f"{address[0]}:{address[1]}", **more}


@pytest.fixture
def admin(ours):
    return AdminClient(config(ours.address("kafka")))


def create(admin, topic, partitions=1, **settings):
    named = {name.replace("_", "."): str(value) for name, value in settings.items()}
    admin.create_topics([NewTopic(topic, partitions, 1, config=named)])[topic].result(PATIENCE)


def describe(admin, topic):
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return admin.describe_configs([resource])[resource].result(PATIENCE)


def alter(admin, topic, *entries):
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=list(entries))
    return admin.incremental_alter_configs([resource])[resource].result(PATIENCE)


def entry(name, value, operation=AlterConfigOpType.SET):
    return ConfigEntry(name, value, incremental_operation=operation)


def send(address, topic, records):
    """Each record in a batch of its own."""
    client = confluent_kafka.Producer(config(address, acks="all", **{"linger.ms": 0}))
    for key, value in records:
        outcome = []
        client.produce(topic, value, key, on_delivery=lambda error, _: outcome.append(error))
        assert client.flush(PATIENCE) == 0
        assert outcome == [None]


def read(address, topic, end):
    """(offset, key, value) of all that is in sight, read up to the end of the partition."""
    consumer = confluent_kafka.Consumer(
        config(address, **{"group.id": "r", "enable.auto.commit": False, "enable.partition.eof": True})
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    found, limit = [], time.monotonic() + PATIENCE
    try:
        while time.monotonic() < limit:
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF, message.error()
                assert message.offset() == end, "the end stays where it is"
                return found
            found.append((message.offset(), message.key(), message.value()))
        raise AssertionError("the end of the partition was not reached")
    finally:
        consumer.close()


COMPACT = {"cleanup_policy": "compact", "min_cleanable_dirty_ratio": "0.01", "segment_ms": 100}


def test_a_compacted_topic_shows_the_newest_record_of_each_key_to_all_clients(admin, ours, token):
    address = ours.address("kafka")
    create(admin, token, delete_retention_ms=600_000, **COMPACT)
    records = [(f"k{n % 4}", f"v{n}") for n in range(20)] + [("k0", None), ("end", "end")]
    send(address, token, records)
    expected = [(17, b"k1", b"v17"), (18, b"k2", b"v18"), (19, b"k3", b"v19"), (20, b"k0", None), (21, b"end", b"end")]
    wait_until(lambda: read(address, token, 22) == expected, "older records of each key are gone", 30)
    console = finish(
        java(
            CONSOLE_CONSUMER,
            *("--bootstrap-server", f"{address[0]}:{address[1]}", "--topic", token, "--from-beginning"),
            *("--max-messages", 5, "--formatter-property", "print.key=true", "--formatter-property", "print.offset=true"),
        )
    )
    lines = [line for line in console.splitlines() if line]
    assert len(lines) == 5, console
    assert "Offset:17" in lines[0] and "v17" in lines[0], console
    # What comes now goes on behind the gap.
    send(address, token, [("k1", "new")])
    assert read(address, token, 23)[-1] == (22, b"k1", b"new")


def test_a_tombstone_goes_when_its_time_is_over(admin, ours, token):
    address = ours.address("kafka")
    create(admin, token, delete_retention_ms=1_000, **COMPACT)
    send(address, token, [("k", "v"), ("k", None), ("end", "1")])
    wait_until(lambda: read(address, token, 3) == [(2, b"end", b"1")], "the tombstone is gone", 30)


def test_configs_are_described_set_and_taken_away(admin, token):
    create(admin, token)
    before = describe(admin, token)
    assert before["cleanup.policy"].value == "delete"
    assert before["cleanup.policy"].is_default and not before["cleanup.policy"].is_read_only
    alter(admin, token, entry("retention.ms", "60000"), entry("cleanup.policy", "compact", AlterConfigOpType.APPEND))
    after = describe(admin, token)
    assert (after["retention.ms"].value, after["retention.ms"].is_default) == ("60000", False)
    assert after["cleanup.policy"].value == "compact,delete"
    alter(admin, token, entry("retention.ms", None, AlterConfigOpType.DELETE))
    assert describe(admin, token)["retention.ms"].value == "-1"
    with pytest.raises(confluent_kafka.KafkaException) as refused:
        alter(admin, token, entry("retention.ms", "soon"))
    assert refused.value.args[0].code() == confluent_kafka.KafkaError.INVALID_CONFIG
    assert "retention.ms" in refused.value.args[0].str()


def test_a_whole_set_of_configs_replaces_the_one_before(admin, token):
    create(admin, token, retention_ms=1_000)
    resource = ConfigResource(ConfigResource.Type.TOPIC, token, set_config={"retention.bytes": "4096"})
    admin.alter_configs([resource])[resource].result(PATIENCE)
    after = describe(admin, token)
    assert (after["retention.bytes"].value, after["retention.ms"].value) == ("4096", "-1")


def test_age_and_bytes_of_a_topic_are_kept_to(admin, ours, token):
    address = ours.address("kafka")
    create(admin, token, retention_bytes=3_000)
    send(address, token, [(None, "x" * 500) for _ in range(20)])
    kept = read(address, token, 20)
    assert 3 <= len(kept) <= 5, "about 3,000 bytes"
    assert kept[-1][0] == 19
    alter(admin, token, entry("retention.ms", "1000"), entry("retention.bytes", "-1"))
    wait_until(lambda: read(address, token, 20) == [], "all is too old", 15)


def test_a_message_above_the_limit_of_its_topic_is_refused(admin, ours, token):
    create(admin, token, max_message_bytes=1_000)
    outcome = []
    client = confluent_kafka.Producer(config(ours.address("kafka"), acks="all"))
    client.produce(token, b"x" * 2_000, on_delivery=lambda error, _: outcome.append(error))
    client.flush(PATIENCE)
    assert outcome[0].code() == confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE
    send(ours.address("kafka"), token, [("k", "x" * 500)])


def test_records_are_removed_below_an_offset(admin, ours, token, tmp_path):
    address = ours.address("kafka")
    create(admin, token)
    send(address, token, [(None, str(n)) for n in range(10)])
    where = confluent_kafka.TopicPartition(token, 0, 4)
    assert admin.delete_records([where])[where].result(PATIENCE).low_watermark == 4
    assert [offset for offset, *_ in read(address, token, 10)] == list(range(4, 10))
    ask = tmp_path / "offsets.json"
    ask.write_text(f'{{"partitions": [{{"topic": "{token}", "partition": 0, "offset": -1}}], "version": 1}}')
    told = finish(java(DELETE_RECORDS, "--bootstrap-server", f"{address[0]}:{address[1]}", "--offset-json-file", ask))
    assert "low_watermark: 10" in told, told
    assert read(address, token, 10) == []
    first = confluent_kafka.TopicPartition(token, 0)
    found = admin.list_offsets({first: OffsetSpec.earliest()})[first].result(PATIENCE)
    assert found.offset == 10


def test_a_configured_stream_keeps_what_it_was_told_to(kept):
    kafka, mqtt = kept.address("kafka"), kept.address("mqtt")
    with Client(mqtt) as client:
        for n in range(6):
            client.publish("few/x", f"f{n}", 1)
            client.publish("last/a" if n % 2 else "last/b", f"l{n}", 1)
        assert [value for *_, value in read(kafka, "few", 6)] == [b"f3", b"f4", b"f5"]
        assert [value for *_, value in read(kafka, "last", 6)] == [b"l4", b"l5"]
        codes = [client.publish("firm/x", f"r{n}", 1) for n in range(3)]
        assert [code.is_failure for code in codes] == [False, False, True], codes
        assert codes[2].value == 0x97, "quota exceeded"
        assert [value for *_, value in read(kafka, "firm", 2)] == [b"r0", b"r1"]
        client.publish("brief/x", "b", 1)
    wait_until(lambda: read(kafka, "brief", 1) == [], "it is too old", 15)


def test_an_older_mqtt_client_is_closed_rather_than_lied_to(kept):
    with Client(kept.address("mqtt")) as client:
        client.publish("firm/y", "1", 1)
        client.publish("firm/y", "2", 1)
    with Client(kept.address("mqtt"), V311) as client:
        info = client.paho.publish("firm/y", b"3", 1)
        client.ended.get(timeout=PATIENCE)
        assert info.rc == paho.MQTT_ERR_SUCCESS and info.mid not in client.published
    assert V5 != V311


def test_the_metrics_tell_of_it(kept):
    status, page = kept.http("/metrics")
    assert status == 200
    for name in ("robust_broker_refused_total", "robust_memory_used_bytes", "robust_memory_budget_bytes"):
        assert name in page, name
