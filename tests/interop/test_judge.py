"""Kafka as judge: its own DumpLogSegments reads the segment files of busy partitions."""

import re
import shutil
import struct

import pytest

from harness.filled import Filled, is_another_engine
from harness.kafka import CODECS, batch, java

PROTOCOL = "kafka"
DUMP = "org.apache.kafka.tools.DumpLogSegments"
BATCH = re.compile(
    r"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) .*position: (\d+) .*\bsize: (\d+) .*"
    r"compresscodec: (\w+) .*isvalid: (\w+)$"
)
RECORD = re.compile(r"^\| offset: (\d+) .*?keySize: (-?\d+) valueSize: (-?\d+) .*? key: (.*?) payload: (.*)$")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    if is_another_engine():
        pytest.skip("only the journal has segment files")
    filled = Filled(tmp_path_factory.mktemp("judge"))
    yield filled
    filled.close()


def dumped(path):
    """Lines of the tool's output, and what it complains about."""
    process = java(DUMP, "--deep-iteration", "--print-data-log", "--files", path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    # The tool misses a logger, which it does not need; it prints its findings.
    return out.splitlines(), [line for line in err.splitlines() if not line.startswith("SLF4J:")]


def first_file_note(path):
    """What this version of the tool says of every file that does not begin at offset 0."""
    base = int(path.stem)
    return [] if base == 0 else [f"Non-consecutive offsets in {path}", f"  -1 is followed by {base}"]


def test_the_tool_says_the_same_of_a_file_that_is_not_ours(tmp_path):
    path = tmp_path / f"{7:020}.log"
    data = bytearray(batch([(b"k", b"v", []), (b"k", b"w", [])]))
    data[:8] = struct.pack(">q", 7)
    path.write_bytes(data)
    lines, complaints = dumped(path)
    assert complaints == first_file_note(path)
    assert "isvalid: true" in lines[2]
    # The last byte of the last value.
    data[-2] ^= 1
    path.write_bytes(data)
    lines, _ = dumped(path)
    assert "isvalid: false" in lines[2], "it does look"


def judged(path, folder):
    """What Kafka's tool reads in a segment file: [(first, last, count, codec)], {offset: (key, value)}."""
    base = path.name.split(".")[0]
    assert re.fullmatch(r"\d{20}", base), path.name
    copy = folder / f"{base}.log"
    shutil.copyfile(path, copy)
    lines, complaints = dumped(copy)
    assert complaints == first_file_note(copy), complaints
    assert lines[0] == f"Dumping {copy}", lines[0]
    assert lines[1] == f"Log starting offset: {int(base)}", lines[1]
    batches, records, end = [], {}, 0
    for line in lines[2:]:
        told, record = BATCH.match(line), RECORD.match(line)
        # Every line is a batch or a record: there is no complaint among them.
        assert told or record, line
        if told:
            assert told[7] == "true", line
            assert int(told[4]) == end, line
            end += int(told[5])
            batches.append((int(told[1]), int(told[2]), int(told[3]), told[6].lower()))
        else:
            offset = int(record[1])
            assert offset not in records, line
            assert len(record[4]) == int(record[2]) and len(record[5]) == int(record[3]), line
            records[offset] = (record[4], record[5])
    assert batches[0][0] == int(base)
    for (_, last, _, _), (first, _, _, _) in zip(batches, batches[1:]):
        assert first == last + 1, "batches follow each other"
    for first, last, count, _ in batches:
        assert count == last - first + 1
        assert all(offset in records for offset in range(first, last + 1))
    assert len(records) == sum(count for _, _, count, _ in batches)
    # The batches are all that there is in the file.
    assert end == path.stat().st_size
    return batches, records


@pytest.fixture(scope="module")
def files(filled, tmp_path_factory):
    """What Kafka's tool reads in all segment files, by stream."""
    busy, sensors = [], []
    for number, path in enumerate(sorted(filled.data.glob("*.log"))):
        batches, records = judged(path, tmp_path_factory.mktemp(f"file{number}"))
        (_, first), *_ = records.values()
        (sensors if first.startswith("mqtt-") else busy).append((batches, records))
    assert busy and sensors
    return busy, sensors


def test_batches_of_kafka_producers_stand_as_they_were_sent(filled, files):
    codecs, seen = set(), set()
    for batches, records in files[0]:
        codecs |= {codec for _, _, _, codec in batches}
        for offset, (key, value) in records.items():
            assert (key, value) == filled.busy[offset], offset
        assert not seen & set(records), "an offset stands in one file only"
        seen |= set(records)
    assert seen == set(range(len(seen))), "from the first record on nothing is missing"
    assert codecs == set(CODECS), codecs
    assert len(seen) > len(filled.busy) / 2


def test_messages_of_mqtt_clients_are_batches_that_kafka_reads(filled, files):
    seen = {}
    for batches, records in files[1]:
        assert {codec for _, _, _, codec in batches} == {"none"}
        assert not set(seen) & set(records)
        seen |= records
    assert sorted(seen) == list(range(len(seen)))
    for offset, (key, value) in seen.items():
        topic, sent = filled.sensors[offset]
        assert (key, value) == (topic.replace("/", "."), sent)
    assert len(seen) > 500
