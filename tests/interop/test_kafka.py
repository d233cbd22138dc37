"""Kafka with kcat, confluent-kafka, kafka-python, Kafka's Java tools and single requests."""

import json
import signal
import struct
import threading
import time
import uuid

import confluent_kafka
import kafka
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from harness.kafka import (
    BY_KEY,
    CODECS,
    Lines,
    Wire,
    batch,
    create_topic,
    fetch,
    fetch_fields,
    fetch_topic,
    finish,
    java,
    kcat,
    produce,
)
from harness.waiting import PATIENCE, wait_until

PROTOCOL = "kafka"
CONSOLE_PRODUCER = "org.apache.kafka.tools.ConsoleProducer"
CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
CONSUMER_GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"


@pytest.fixture
def address(server):
    return server.address("kafka")


def bootstrap(address):
    return f"{address[0]}:{address[1]}"


def producer(address, **more):
    return confluent_kafka.Producer({"bootstrap.servers": bootstrap(address), "acks": "all", **more})


def send(address, topic, values, **more):
    """Produces and waits until all is acknowledged; the delivered messages."""
    delivered = []

    def report(error, message):
        assert error is None, error
        delivered.append(message)

    client = producer(address, **more)
    for value in values:
        arguments = value if isinstance(value, dict) else {"value": value}
        client.produce(topic, on_delivery=report, **arguments)
    assert client.flush(PATIENCE) == 0
    assert len(delivered) == len(values)
    return delivered


def reader(address, group, **more):
    return confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap(address),
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "topic.metadata.refresh.interval.ms": 500,
            **more,
        }
    )


def take(consumer, count, seconds=20):
    messages, end = [], time.monotonic() + seconds
    while len(messages) < count:
        assert time.monotonic() < end, f"{len(messages)} of {count} messages"
        message = consumer.poll(0.1)
        if message is not None:
            assert message.error() is None, message.error()
            messages.append(message)
    return messages


def create(address, topic, partitions=1):
    client = AdminClient({"bootstrap.servers": bootstrap(address)})
    client.create_topics([NewTopic(topic, partitions, 1)])[topic].result(PATIENCE)


@pytest.mark.parametrize("codec", CODECS)
def test_confluent_kafka_reads_what_it_wrote_in_each_codec(address, token, codec):
    values = [b"%d " % n + b"x" * 200 for n in range(300)]
    delivered = send(address, token, values, **{"compression.type": codec, "linger.ms": 50})
    assert [m.offset() for m in delivered] == list(range(300))
    consumer = reader(address, token)
    consumer.subscribe([token])
    assert [m.value() for m in take(consumer, 300)] == values
    consumer.close()


@pytest.mark.parametrize("codec", CODECS)
def test_kafka_python_reads_what_it_wrote_in_each_codec(address, token, codec):
    values = [b"%d " % n + b"x" * 200 for n in range(100)]
    client = kafka.KafkaProducer(
        bootstrap_servers=bootstrap(address), compression_type=None if codec == "none" else codec, linger_ms=20
    )
    futures = [client.send(token, value) for value in values]
    assert [future.get(PATIENCE).offset for future in futures] == list(range(100))
    client.close()
    consumer = kafka.KafkaConsumer(
        token, bootstrap_servers=bootstrap(address), auto_offset_reset="earliest", consumer_timeout_ms=10_000
    )
    got = []
    for record in consumer:
        got.append(record.value)
        if len(got) == len(values):
            break
    consumer.close()
    assert got == values


def test_keys_headers_tombstones_and_timestamps_are_kept(address, token):
    headers = [("a", b"1"), ("b", None), ("a", b"\x00\xff"), ("", b"")]
    send(
        address,
        token,
        [
            {"key": b"k", "value": b"v", "headers": headers, "timestamp": 1_600_000_000_123},
            {"key": b"k", "value": None},
            {"key": b"", "value": b""},
            {"key": None, "value": b"\x00"},
        ],
    )
    consumer = reader(address, token)
    consumer.assign([confluent_kafka.TopicPartition(token, 0, 0)])
    first, tombstone, empty, keyless = take(consumer, 4)
    assert (first.key(), first.value(), first.headers()) == (b"k", b"v", headers)
    assert first.timestamp() == (confluent_kafka.TIMESTAMP_CREATE_TIME, 1_600_000_000_123)
    assert (tombstone.key(), tombstone.value()) == (b"k", None), "null is not empty"
    assert (empty.key(), empty.value()) == (b"", b"")
    assert (keyless.key(), keyless.value()) == (None, b"\x00")
    consumer.close()


def test_offsets_are_found_by_time_and_at_both_ends(address, token):
    send(address, token, [{"value": b"%d" % n, "timestamp": 1_000_000 + 1_000 * n} for n in range(10)])
    consumer = reader(address, token)
    assert consumer.get_watermark_offsets(confluent_kafka.TopicPartition(token, 0), PATIENCE) == (0, 10)
    found = consumer.offsets_for_times([confluent_kafka.TopicPartition(token, 0, 1_004_500)], PATIENCE)
    assert found[0].offset == 5
    consumer.close()


def test_keyed_records_keep_their_partition_and_order(address, token):
    create(address, token, 4)
    send(address, token, [{"key": b"%d" % (n % 7), "value": b"%d" % n} for n in range(140)])
    consumer = reader(address, token)
    consumer.subscribe([token])
    by_key, partitions = {}, {}
    for message in take(consumer, 140):
        by_key.setdefault(message.key(), []).append(int(message.value()))
        partitions.setdefault(message.key(), set()).add(message.partition())
    consumer.close()
    assert all(values == sorted(values) for values in by_key.values())
    assert all(len(numbers) == 1 for numbers in partitions.values())
    assert len(set.union(*partitions.values())) > 1


def test_two_members_share_the_partitions_and_the_rest_takes_over(address, token):
    create(address, token, 4)
    owned = [set(), set()]

    def member(number):
        consumer = reader(address, f"g-{token}", **{"session.timeout.ms": 6_000})

        def assigned(_, partitions):
            owned[number] = {p.partition for p in partitions}

        def revoked(_, partitions):
            owned[number] = set()

        consumer.subscribe([token], on_assign=assigned, on_revoke=revoked)
        return consumer

    members = [member(0), member(1)]

    def settled():
        for consumer in members:
            consumer.poll(0.05)
        return len(owned[0]) == len(owned[1]) == 2 and owned[0] | owned[1] == {0, 1, 2, 3}

    wait_until(settled, "each member owns two partitions", 30)
    send(address, token, [{"value": b"%d" % n, "partition": n % 4} for n in range(40)])
    got = []

    def all_read():
        for number, consumer in enumerate(members):
            message = consumer.poll(0.05)
            if message is not None and message.error() is None:
                got.append((number, message.partition(), int(message.value())))
        return len(got) == 40

    wait_until(all_read, "40 messages", 30)
    assert sorted(value for _, _, value in got) == list(range(40))
    assert all(partition in owned[number] for number, partition, _ in got)
    members[0].commit(asynchronous=False)
    members[0].close()
    remaining = members[1]

    def taken_over():
        remaining.poll(0.05)
        return owned[1] == {0, 1, 2, 3}

    wait_until(taken_over, "the second member owns everything", 30)
    remaining.close()


def test_a_group_goes_on_where_it_committed(address, token):
    send(address, token, [b"%d" % n for n in range(10)])
    consumer = reader(address, token)
    consumer.subscribe([token])
    messages = take(consumer, 10)
    assert len(messages) == 10
    consumer.commit(
        offsets=[confluent_kafka.TopicPartition(token, 0, 4, metadata="note")], asynchronous=False
    )
    consumer.close()
    consumer = reader(address, token)
    committed = consumer.committed([confluent_kafka.TopicPartition(token, 0)], PATIENCE)
    assert committed[0].offset == 4
    assert committed[0].metadata == "note"
    consumer.subscribe([token])
    assert [m.value() for m in take(consumer, 6)] == [b"%d" % n for n in range(4, 10)]
    consumer.close()


def test_kafka_python_consumers_share_a_group(address, token):
    send(address, token, [b"%d" % n for n in range(20)])

    def consume(count):
        consumer = kafka.KafkaConsumer(
            token,
            group_id=token,
            bootstrap_servers=bootstrap(address),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            consumer_timeout_ms=15_000,
            max_poll_records=count,
        )
        got = []
        for record in consumer:
            got.append(int(record.value))
            if len(got) == count:
                break
        consumer.commit()
        consumer.close()
        return got

    assert consume(8) == list(range(8))
    assert consume(12) == list(range(8, 20))


def test_an_idempotent_producer_writes_each_record_once(address, token):
    values = [b"%d" % n for n in range(2_000)]
    delivered = send(address, token, values, **{"enable.idempotence": True, "linger.ms": 1})
    assert [m.offset() for m in delivered] == list(range(2_000))
    with Wire(address) as wire:
        identity = wire.call(
            "InitProducerId", 1, transactional_id=None, transaction_timeout_ms=60_000
        )
        assert identity.error_code == 0
        data = [batch([(None, b"%d" % n, [])], "none", identity.producer_id, 0, n) for n in range(4)]
        topic = f"{token}-raw"
        create_topic(wire, topic)
        assert produce(wire, topic, data[0]).base_offset == 0
        assert produce(wire, topic, data[1]).base_offset == 1
        again = produce(wire, topic, data[1])
        assert (again.error_code, again.base_offset) in ((0, 1), (46, -1)), "a repeat gets the first answer"
        gap = produce(wire, topic, data[3])
        assert gap.error_code == 45, "OUT_OF_ORDER_SEQUENCE_NUMBER"
        assert produce(wire, topic, data[2]).base_offset == 2


def test_a_gzip_batch_is_fetched_back_but_for_offset_and_epoch(address, token):
    data = batch([(b"k%d" % n, b"value " * 50, [("h", b"x")]) for n in range(100)], "gzip")
    with Wire(address) as wire:
        create_topic(wire, token)
        assert produce(wire, token, batch([(None, b"before", [])])).base_offset == 0
        assert produce(wire, token, data).base_offset == 1
        got = bytes(fetch(wire, token, 1).records)
        assert struct.unpack(">q", got[:8])[0] == 1
        assert got[8:12] == data[8:12]
        assert got[16:] == data[16:], "all but base offset and leader epoch"
        inside = bytes(fetch(wire, token, 50).records)
        assert inside == got, "a fetch from the middle answers the whole batch"


def test_a_fetch_on_two_partitions_wakes_within_100_ms(address, token):
    with Wire(address) as waiter, Wire(address) as writer:
        create_topic(writer, token, 2)
        for partition in (0, 1, 1, 0):
            offsets = [
                (number, produce(writer, token, batch([(None, b"mark", [])]), partition=number).base_offset + 1)
                for number in (0, 1)
            ]
            answered = []
            fields = fetch_fields([fetch_topic(token, offsets)], wait_ms=8_000)
            request = waiter.send("Fetch", 11, **fields)

            def receive():
                answered.append((waiter.receive(request), time.monotonic()))

            thread = threading.Thread(target=receive)
            thread.start()
            # Long enough for the server to have parked the fetch, whatever it does first.
            assert not answered
            thread.join(0.3)
            assert not answered, "nothing new: the fetch waits"
            begin = time.monotonic()
            assert produce(writer, token, batch([(None, b"wake", [])]), partition=partition).error_code == 0
            thread.join(PATIENCE)
            answer, at = answered[0]
            parts = {p.partition_index: p.records for p in answer.responses[0].partitions}
            assert parts[partition] and not parts.get(1 - partition)
            assert at - begin < 0.1, f"{(at - begin) * 1000:.0f} ms"


def test_a_fetch_without_data_answers_when_its_wait_is_over(address, token):
    with Wire(address) as wire:
        create_topic(wire, token)
        begin = time.monotonic()
        answer = fetch(wire, token, 0, wait_ms=300)
        assert answer.error_code == 0 and not answer.records
        assert 0.25 < time.monotonic() - begin < 2
        assert fetch(wire, token, 7, wait_ms=0).error_code == 1, "OFFSET_OUT_OF_RANGE"


def test_an_unknown_topic_is_reported(address, token):
    consumer = reader(address, token, **{"allow.auto.create.topics": False})
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        consumer.get_watermark_offsets(confluent_kafka.TopicPartition(token, 0), 3)
    consumer.close()
    assert caught.value.args[0].code() in (
        confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART,
        confluent_kafka.KafkaError._UNKNOWN_PARTITION,
        confluent_kafka.KafkaError._UNKNOWN_TOPIC,
    )


def test_a_transactional_id_is_refused(ours, token):
    address = ours.address("kafka")
    client = producer(address, **{"transactional.id": token})
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        client.init_transactions(5)
    assert caught.value.args[0].fatal() or not caught.value.args[0].retriable()
    with Wire(address) as wire:
        answer = wire.call("InitProducerId", 1, transactional_id=token, transaction_timeout_ms=1_000)
        assert answer.error_code in (53, 42, 35, 48), answer.error_code


def test_topics_are_created_described_and_deleted(address, token):
    client = AdminClient({"bootstrap.servers": bootstrap(address)})
    create(address, token, 3)
    listed = client.list_topics(timeout=PATIENCE).topics[token]
    assert sorted(listed.partitions) == [0, 1, 2]
    futures = client.create_topics([NewTopic(token, 3, 1)])
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        futures[token].result(PATIENCE)
    assert caught.value.args[0].code() == confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS
    send(address, token, [b"x"])
    client.delete_topics([token])[token].result(PATIENCE)
    wait_until(lambda: token not in client.list_topics(timeout=PATIENCE).topics, "the topic is gone")
    create(address, token, 1)
    assert [m.offset() for m in send(address, token, [b"y"])] == [0]


def test_a_topic_id_is_stable_and_new_after_deletion(address, token):
    def topic_id(wire):
        topic = BY_KEY[3].MetadataRequestTopic(topic_id=uuid.UUID(int=0), name=token)
        answer = wire.call("Metadata", 12, topics=[topic], allow_auto_topic_creation=False)
        return answer.topics[0].topic_id if answer.topics[0].error_code == 0 else None

    with Wire(address) as wire:
        create_topic(wire, token)
        first = wait_until(lambda: topic_id(wire), "the topic is known")
        assert topic_id(wire) == first
        assert wire.call("DeleteTopics", 3, topic_names=[token], timeout_ms=5_000).responses[0].error_code == 0
        wait_until(lambda: topic_id(wire) is None, "the topic is gone")
        create_topic(wire, token)
        assert wait_until(lambda: topic_id(wire), "the topic is known again") != first


def test_kcat_produces_consumes_and_lists(address, token):
    kcat(address, "-P", "-t", token, "-K", ":", "-z", "snappy", given="k1:one\nk2:two\n")
    out = kcat(address, "-C", "-t", token, "-e", "-o", "beginning", "-f", "%p %o %k %s\n")
    assert out.splitlines() == ["0 0 k1 one", "0 1 k2 two"]
    listed = json.loads(kcat(address, "-L", "-J", "-t", token))
    assert listed["topics"][0]["topic"] == token
    assert len(listed["topics"][0]["partitions"]) == 1


def test_kcat_consumes_in_a_balanced_group(address, token):
    kcat(address, "-P", "-t", token, given="a\nb\nc\n")
    # The group name ends the options of kcat.
    out = kcat(address, "-c", "3", "-X", "auto.offset.reset=earliest", "-G", f"g-{token}", token)
    assert out.splitlines() == ["a", "b", "c"]


def test_the_java_console_tools_produce_consume_and_describe_the_group(address, token):
    given = "".join(f"k{n}:v{n}\n" for n in range(50))
    create(address, token, 2)
    producing = java(
        CONSOLE_PRODUCER,
        *("--bootstrap-server", bootstrap(address), "--topic", token, "--compression-codec", "lz4"),
        *("--reader-property", "parse.key=true", "--reader-property", "key.separator=:"),
        stdin=-1,
    )
    finish(producing, given)
    consuming = java(
        CONSOLE_CONSUMER,
        *("--bootstrap-server", bootstrap(address), "--topic", token, "--group", f"g-{token}"),
        *("--from-beginning", "--formatter-property", "print.key=true"),
    )
    lines = Lines(consuming)
    try:
        got = lines.wait_for(50)
        assert sorted(got) == sorted(f"k{n}\tv{n}" for n in range(50))
        describing = java(CONSUMER_GROUPS, "--bootstrap-server", bootstrap(address), "--list")
        assert f"g-{token}" in finish(describing).split()
        described = finish(
            java(CONSUMER_GROUPS, "--bootstrap-server", bootstrap(address), "--describe", "--group", f"g-{token}")
        )
        rows = [line.split() for line in described.splitlines() if token in line]
        assert {row[2] for row in rows} == {"0", "1"}, described
        assert all("console-consumer" in " ".join(row) for row in rows), described
    finally:
        consuming.send_signal(signal.SIGTERM)
        consuming.wait(30)
    # At a clean end it commits and leaves.
    described = finish(
        java(CONSUMER_GROUPS, "--bootstrap-server", bootstrap(address), "--describe", "--group", f"g-{token}")
    )
    rows = [line.split() for line in described.splitlines() if token in line]
    assert sum(int(row[3]) for row in rows) == 50, described
    assert sum(int(row[5]) for row in rows) == 0, described


def test_the_java_idempotent_producer_and_reset_of_offsets(address, token):
    producing = java(
        CONSOLE_PRODUCER,
        *("--bootstrap-server", bootstrap(address), "--topic", token),
        *("--command-property", "enable.idempotence=true", "--command-property", "acks=all"),
        stdin=-1,
    )
    finish(producing, "".join(f"{n}\n" for n in range(20)))
    consume = (
        CONSOLE_CONSUMER,
        *("--bootstrap-server", bootstrap(address), "--topic", token, "--group", f"g-{token}"),
        *("--from-beginning", "--max-messages", 20),
    )
    assert finish(java(*consume)).split() == [str(n) for n in range(20)]
    reset = java(
        CONSUMER_GROUPS,
        *("--bootstrap-server", bootstrap(address), "--group", f"g-{token}", "--topic", token),
        *("--reset-offsets", "--to-offset", 15, "--execute"),
    )
    finish(reset)
    assert finish(java(*consume[:-1], 5)).split() == ["15", "16", "17", "18", "19"]


def filled(struct_field, version, token, depth=0):
    """Values for the fields of a message: each array has one element, each string some letters."""
    values = {}
    for field in struct_field.fields.values():
        if field.for_version_q(version) and field._tag is None:
            values[field.name] = filled_field(field, version, token, depth)
    return values


def filled_field(field, version, token, depth):
    if field.is_struct_array():
        return [field.data_class(**filled(field, version, token, depth + 1))]
    if field.is_struct():
        return field.data_class(**filled(field, version, token, depth + 1))
    if field.is_array():
        return [plain(field._type_str.removeprefix("[]"), field, token)]
    return plain(field._type_str, field, token)


def plain(kind, field, token):
    if kind == "string":
        return token
    if kind == "uuid":
        return uuid.UUID(int=17)
    if kind in ("bytes", "records"):
        return b""
    if kind == "bool":
        return False
    if kind == "float64":
        return 0.0
    default = field.default
    return default if isinstance(default, int) else 0


NEEDED_KEYS = {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 22}


def test_every_advertised_key_and_version_gets_a_well_formed_answer(server, address, token):
    with Wire(address) as wire:
        ranges = {
            api.api_key: (api.min_version, api.max_version)
            for api in wire.call("ApiVersions", 2).api_keys
        }
    assert set(ranges) >= NEEDED_KEYS
    if not server.ours:
        # Kafka leaves some requests between brokers without an answer.
        ranges = {key: ranges[key] for key in NEEDED_KEYS}
    tried = 0
    for key, (lowest, highest) in sorted(ranges.items()):
        request_class = BY_KEY.get(key)
        if request_class is None:
            continue
        # Produce is advertised from 0 for old librdkafka, but served from 3; see KAFKA-18659.
        for version in range(max(lowest, 3) if key == 0 else lowest, min(highest, request_class.max_version) + 1):
            for filler in (False, True):
                values = filled(request_class._struct, version, token) if filler else {}
                if key == 0:
                    values["acks"] = -1
                # A fetch session or a long wait would change what the next request means.
                if key == 1:
                    values |= {"session_id": 0, "session_epoch": -1, "max_wait_ms": 0}
                if key in (11, 14):
                    values |= {"group_id": f"{token}-{version}"}
                if key == 11 and filler:
                    values |= {"session_timeout_ms": 6_000, "rebalance_timeout_ms": 100, "member_id": ""}
                request = request_class(version=version, **values)
                with Wire(address) as wire:
                    wire.socket.settimeout(30)
                    try:
                        wire.receive(wire.send_request(request))
                    except (AssertionError, OSError) as error:
                        raise AssertionError(f"{request_class.__name__} v{version} filled={filler}: {error}") from error
                tried += 1
    assert tried > 100


def test_an_unknown_version_of_api_versions_is_answered_in_version_0(address):
    with Wire(address) as wire:
        # [key 18][version 99][correlation 7][client id "x"][no tags][some body]
        wire.socket.sendall(struct.pack(">ihhih", 14, 18, 99, 7, 1) + b"x\0\0\0")
        (size,) = struct.unpack(">i", wire.exactly(4))
        body = wire.exactly(size)
        correlation, error, count = struct.unpack(">ihi", body[:10])
        assert (correlation, error) == (7, 35), "UNSUPPORTED_VERSION"
        assert count >= 1


def test_an_unfetchable_or_corrupt_batch_is_refused(address, token):
    good = batch([(None, b"x", [])])
    corrupt = bytearray(good)
    corrupt[-1] ^= 1
    old_magic = bytearray(good)
    old_magic[16] = 1
    with Wire(address) as wire:
        create_topic(wire, token)
        assert produce(wire, token, bytes(corrupt)).error_code in (2, 87)
        assert produce(wire, token, bytes(old_magic)).error_code in (2, 43, 76, 87)
        assert produce(wire, token, good).base_offset == 0


def test_a_batch_over_the_limit_is_refused(address, token):
    assert send(address, token, [b"x" * 999_000])[0].offset() == 0
    client = producer(address, **{"message.max.bytes": 4_000_000})
    outcome = []
    client.produce(token, b"\xa5" * 1_500_000, on_delivery=lambda error, _: outcome.append(error))
    assert client.flush(PATIENCE) == 0
    assert outcome[0].code() == confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE
    assert send(address, token, [b"small"])[0].offset() == 1


def test_acknowledged_records_and_commits_survive_kill_9(own_server, token):
    address = own_server.address("kafka")
    create(address, token, 2)
    values = [{"value": b"%d" % n, "partition": n % 2, "key": b"k"} for n in range(100)]
    send(address, token, values, **{"compression.type": "zstd"})
    consumer = reader(address, token)
    consumer.subscribe([token])
    take(consumer, 100)
    consumer.commit(
        offsets=[confluent_kafka.TopicPartition(token, p, 30 + p) for p in (0, 1)], asynchronous=False
    )
    own_server.kill()
    consumer.close()
    own_server.start()
    consumer = reader(address, token)
    committed = consumer.committed([confluent_kafka.TopicPartition(token, p) for p in (0, 1)], PATIENCE)
    assert [c.offset for c in committed] == [30, 31]
    consumer.subscribe([token])
    got = take(consumer, 20 + 19)
    assert sorted(int(m.value()) for m in got) == sorted(
        [n for n in range(0, 100, 2)][30:] + [n for n in range(1, 100, 2)][31:]
    )
    consumer.close()
    assert [m.offset() for m in send(address, token, [{"value": b"next", "partition": 0}])] == [50]


def test_an_idempotent_producer_survives_kill_9_without_duplicates(own_server, token):
    address = own_server.address("kafka")
    with Wire(address) as wire:
        create_topic(wire, token)
        identity = wire.call("InitProducerId", 1, transactional_id=None, transaction_timeout_ms=60_000)
        data = [
            batch([(None, b"%d" % n, [])], "none", identity.producer_id, identity.producer_epoch, n)
            for n in range(3)
        ]
        assert produce(wire, token, data[0]).base_offset == 0
        assert produce(wire, token, data[1]).base_offset == 1
    own_server.kill_and_restart()
    with Wire(address) as wire:
        again = produce(wire, token, data[1])
        assert (again.error_code, again.base_offset) in ((0, 1), (46, -1))
        assert produce(wire, token, data[2]).base_offset == 2
        other = wire.call("InitProducerId", 1, transactional_id=None, transaction_timeout_ms=60_000)
        assert other.producer_id != identity.producer_id, "an identity is not given twice"
