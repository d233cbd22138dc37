"""Kafka clients: kcat, Kafka's own Java tools, and single requests on a bare socket.

The bare socket encodes and decodes with the message definitions that kafka-python carries, so that
what it says about our answers is not our own opinion.
"""

import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

import kafka.protocol.admin as admin
import kafka.protocol.consumer as consumer
import kafka.protocol.metadata as metadata
import kafka.protocol.producer as producer
import kafka.protocol.sasl as sasl
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.protocol.api_header import ResponseHeader

from .waiting import PATIENCE, wait_until

MODULES = (admin, consumer, metadata, producer, sasl)
# Each request class by its name, from whichever module of kafka-python holds it.
REQUESTS = {
    name: getattr(module, name)
    for module in MODULES
    for name in dir(module)
    if name.endswith("Request") and hasattr(getattr(module, name), "API_KEY")
}
BY_KEY = {request.API_KEY: request for request in REQUESTS.values()}
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def response_class(request):
    name = request.__name__.removesuffix("Request") + "Response"
    return next(getattr(module, name) for module in MODULES if hasattr(module, name))


class Wire:
    """A connection on which each request is built and each answer checked here."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, PATIENCE)
        self.correlation = 0

    def send(self, name, version, **fields):
        request_class = REQUESTS[name + "Request"]
        return self.send_request(request_class(version=version, **fields))

    def send_request(self, request):
        self.correlation += 1
        request.with_header(correlation_id=self.correlation, client_id="interop")
        self.socket.sendall(request.encode(header=True, framed=True))
        return request

    def receive(self, request):
        """The answer to `request`; fails unless it is well-formed to the last byte."""
        (size,) = struct.unpack(">i", self.exactly(4))
        return parse_response(request, self.exactly(size), self.correlation)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(min(count - len(data), 1 << 20))
            assert more, "the connection was closed instead of an answer"
            data += more
        return data

    def call(self, name, version, **fields):
        return self.receive(self.send(name, version, **fields))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def parse_response(request, data, correlation):
    answer = response_class(type(request))
    version = request.API_VERSION
    assert struct.unpack(">i", data[:4])[0] == correlation, "the answer to another request"
    at = 4
    # The header of ApiVersions is never flexible: a client may not know the version yet.
    if answer.flexible_version_q(version) and request.API_KEY != 18:
        assert data[4] == 0, "no tagged fields in the header"
        at = 5
    flexible = answer.flexible_version_q(version)
    decode = answer._struct.compiled_decode_from(version, compact=flexible, tagged=flexible, data_class=answer)
    body = memoryview(bytes(data[at:]))
    parsed, end = decode(body, 0)
    assert end == len(body), f"{len(body) - end} bytes too many in {answer.__name__} v{version}"
    return parsed


assert ResponseHeader._flexible_versions[0] == 1


def batch(records, codec="none", producer_id=-1, epoch=-1, sequence=-1, transactional=False, timestamp=1_700_000_000_000):
    """A record batch of (key, value, headers) in the given codec."""
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], transactional, producer_id, epoch, sequence, 1 << 30)
    for offset, (key, value, headers) in enumerate(records):
        assert builder.append(offset, timestamp, key, value, headers)
    return bytes(builder.build())


def produce(wire, topic, data, version=8, acks=-1, partition=0, transactional_id=None):
    """Appends one batch; the partition's answer."""
    answer = wire.call(
        "Produce",
        version,
        transactional_id=transactional_id,
        acks=acks,
        timeout_ms=10_000,
        topic_data=[produce_topic(topic, data, partition)],
    )
    return answer.responses[0].partition_responses[0]


def produce_topic(topic, data, partition=0):
    request = REQUESTS["ProduceRequest"]
    part = request.TopicProduceData.PartitionProduceData(index=partition, records=data)
    return request.TopicProduceData(name=topic, partition_data=[part])


def fetch_topic(topic, partitions, max_bytes=1 << 20):
    request = REQUESTS["FetchRequest"]
    parts = [
        request.FetchTopic.FetchPartition(
            partition=number,
            current_leader_epoch=-1,
            fetch_offset=offset,
            last_fetched_epoch=-1,
            log_start_offset=-1,
            partition_max_bytes=max_bytes,
        )
        for number, offset in partitions
    ]
    return request.FetchTopic(topic=topic, partitions=parts)


def fetch_fields(topics, wait_ms=500, min_bytes=1):
    return {
        "replica_id": -1,
        "max_wait_ms": wait_ms,
        "min_bytes": min_bytes,
        "max_bytes": 1 << 24,
        "isolation_level": 0,
        "session_id": 0,
        "session_epoch": -1,
        "topics": topics,
        "forgotten_topics_data": [],
        "rack_id": "",
    }


def fetch(wire, topic, offset=0, partition=0, version=11, wait_ms=500):
    """Reads one partition; its answer."""
    answer = wire.call("Fetch", version, **fetch_fields([fetch_topic(topic, [(partition, offset)])], wait_ms))
    return answer.responses[0].partitions[0]


def create_topic(wire, topic, partitions=1):
    request = REQUESTS["CreateTopicsRequest"]
    new = request.CreatableTopic(
        name=topic, num_partitions=partitions, replication_factor=1, assignments=[], configs=[]
    )
    answer = wire.call("CreateTopics", 4, topics=[new], timeout_ms=10_000, validate_only=False)
    assert answer.topics[0].error_code == 0, answer
    # Kafka answers before the partitions have their leader.
    wait_until(lambda: has_leaders(wire, topic, partitions), f"{topic} can be used")


def has_leaders(wire, topic, partitions):
    request = REQUESTS["ListOffsetsRequest"]
    parts = [
        request.ListOffsetsTopic.ListOffsetsPartition(partition_index=n, current_leader_epoch=-1, timestamp=-1)
        for n in range(partitions)
    ]
    topics = [request.ListOffsetsTopic(name=topic, partitions=parts)]
    answer = wire.call("ListOffsets", 4, replica_id=-1, isolation_level=0, topics=topics)
    errors = {part.error_code for part in answer.topics[0].partitions}
    assert errors <= {0, 3, 5, 6}, errors
    return errors == {0}


def cache():
    return Path(os.environ.get("ROBUSTMQ_CACHE") or Path.home() / ".cache/robustmq")


def java(tool, *arguments, stdin=subprocess.DEVNULL):
    """Starts one of Kafka's own tools."""
    log_config = Path(__file__).parent / "log4j2.properties"
    return subprocess.Popen(
        # A small heap and the first compiler alone: a tool lives for a second.
        ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={log_config}"]
        + ["-cp", f"{cache()}/maven/*", tool, *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, given=None, seconds=60):
    """Output of a process that must end well."""
    out, err = process.communicate(given, timeout=seconds)
    assert process.returncode == 0, f"{process.args[-6:]}\n{out}\n{err}"
    return out


def kcat(address, *arguments, given=None, seconds=20):
    process = subprocess.Popen(
        ["kcat", "-b", f"{address[0]}:{address[1]}", *map(str, arguments)],
        stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finish(process, given, seconds)


class Lines:
    """Reads the output of a running tool line by line."""

    def __init__(self, process):
        self.process, self.lines = process, []
        self.more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self.more:
                self.lines.append(line.rstrip("\n"))
                self.more.notify_all()

    def wait_for(self, count, seconds=30):
        with self.more:
            assert self.more.wait_for(lambda: len(self.lines) >= count, seconds), self.lines
            return list(self.lines)
