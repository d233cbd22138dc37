"""When a stream acknowledges, and what a kill leaves of it."""

import confluent_kafka
import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from harness.mqtt import Client
from harness.server import Server, run_cli
from harness.waiting import PATIENCE

MODES = ("durable", "async", "memory")
STREAMS = "".join(
    f'[[stream]]\nname = "{mode}"\nfilters = ["{mode}/#"]\ndurability = "{mode}"\n\n' for mode in MODES
)


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path, 2, STREAMS)
    yield server
    server.close()


def publish(server, mode, *bodies):
    with Client(server.address("mqtt")) as client:
        for body in bodies:
            client.publish(f"{mode}/x", body, 1)


def shown(server, topic, upto):
    """The offsets and values of a topic, to the last one."""
    address, port = server.address("kafka")
    consumer = confluent_kafka.Consumer({"bootstrap.servers": f"{address}:{port}", "group.id": "g"})
    partition = TopicPartition(topic, 0, OFFSET_BEGINNING)
    consumer.assign([partition])
    found = {}
    while upto not in found.values():
        message = consumer.poll(PATIENCE)
        assert message is not None, f"{found} and no {upto}"
        assert message.error() is None, message.error()
        found[message.offset()] = message.value()
    consumer.close()
    return found


def syncs(server):
    lines = server.http("/metrics")[1].splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith("robust_storage_syncs_total "))


def test_only_what_a_stream_promises_is_waited_for(server):
    for mode in MODES:
        publish(server, mode, b"warm")  # Leases of offsets are synced once.
    before = syncs(server)
    publish(server, "durable", *(b"%d" % n for n in range(200)))
    durable = syncs(server) - before
    assert durable >= 200, "each of them waited for its own sync"
    for mode in ("async", "memory"):
        before = syncs(server)
        publish(server, mode, *(b"%d" % n for n in range(200)))
        assert syncs(server) - before < 100, f"{mode} waits for no sync"


def test_a_kill_takes_what_was_promised_to_memory_and_no_offset_is_given_twice(server):
    for mode in MODES:
        publish(server, mode, b"one", b"two")
    before = {mode: shown(server, mode, b"two") for mode in MODES}
    server.kill_and_restart()
    for mode in MODES:
        publish(server, mode, b"three")
        after = shown(server, mode, b"three")
        kept = {} if mode == "memory" else before[mode]
        assert {offset: value for offset, value in after.items() if value != b"three"} == kept, mode
        assert max(after) > max(before[mode]), f"offsets of {mode} go on"


def test_a_durability_cannot_be_changed(server):
    path = server.data.parent / "other.toml"
    path.write_text(server.config.read_text().replace('durability = "async"', 'durability = "durable"'))
    server.kill()
    said = run_cli("start", "--config", path)
    assert said.returncode != 0
    assert 'stream "async"' in said.stderr and "cannot be changed" in said.stderr, said.stderr
