"""librdkafka under kill -9: producers with and without idempotence, a group, and whole readings."""

import random
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from history import ident

from .base import Load, Pace

OPEN_MAX = 1_000
# A reader of everything that gets nothing for so long is stuck.
STUCK_SECONDS = 30
# A group's member that the server forgot finds out at its next heartbeat.
CLIENT = {
    "reconnect.backoff.ms": 10,
    "reconnect.backoff.max.ms": 100,
    "socket.timeout.ms": 5_000,
    "topic.metadata.refresh.interval.ms": 1_000,
    "log_level": 0,
}


def config(address, **more):
    return CLIENT | {"bootstrap.servers": f"{address[0]}:{address[1]}", "error_cb": lambda _: None} | more


class KafkaProducer(Load):
    """Writes to all partitions of a topic, each named by itself."""

    def __init__(self, name, history, rng, address, topic, partitions, rate, idempotent):
        super().__init__(name, history, rng, address)
        self.topic, self.partitions, self.idempotent = topic, partitions, idempotent
        self.pace = Pace(rng, rate, burst=200)
        self.open = 0
        how = {"enable.idempotence": True, "acks": "all", "message.timeout.ms": 300_000, "retry.backoff.ms": 20}
        if not idempotent:
            # Sent once: what the connection loses may be stored or not, and is not sent again.
            how = {"acks": 1, "retries": 0, "message.timeout.ms": 5_000}
        self.client = Producer(config(address, **how, **{"linger.ms": 2}))
        history.add("producer", p=name, repeats=False)

    def live(self):
        self.connected = False
        if self.producing.is_set():
            for _ in range(self.pace.due()):
                if self.open < OPEN_MAX:
                    self.produce()
        self.client.poll(0.003)

    def produce(self):
        partition = self.rng.randrange(self.partitions)
        number, data = self.history.invoke(self.name, f"{self.topic}/{partition}", self.pace.size())
        self.open += 1

        def done(error, message):
            self.open -= 1
            if error is None:
                self.history.acknowledged(self.name, number, message.offset())
            else:
                self.history.lost(self.name, number, str(error))
                self.judge(error)

        self.client.produce(self.topic, data, partition=partition, on_delivery=done)

    def judge(self, error):
        if error.fatal() or (self.idempotent and error.code() != KafkaError._PURGE_QUEUE):
            self.history.add("fatal", c=self.name, why=f"an idempotent producer was told: {error}")

    def open_count(self):
        return self.open


class Runs:
    """Cuts what a consumer is given into runs of one partition each, for History.read."""

    def __init__(self, history):
        self.history, self.positions = history, {}

    def forget(self, partitions):
        for each in partitions:
            self.positions.pop(f"{each.topic}/{each.partition}", None)

    def add(self, messages):
        by_log = {}
        for message in messages:
            if message.error() is not None:
                continue
            by_log.setdefault(f"{message.topic()}/{message.partition()}", []).append(message)
        for log, each in by_log.items():
            self.add_log(log, [(message.offset(), ident(message.value())) for message in each])

    def add_log(self, log, pairs):
        run = []
        for pair in pairs:
            if run and pair[0] <= run[-1][0]:
                self.flush(log, run)
                run = []
            run.append(pair)
        self.flush(log, run)

    def flush(self, log, run):
        first = run[0][0]
        position = self.positions.get(log)
        # Whoever goes back, or begins, says nothing about what lies between.
        if position is None or first < position:
            position = first
        self.history.read(log, position, run)
        self.positions[log] = run[-1][0] + 1


class Group(Load):
    """A member of a group: reads, and commits what it read, each commit waited for."""

    def __init__(self, name, history, rng, address, topics):
        super().__init__(name, history, rng, address)
        self.topics = topics
        self.runs = Runs(history)
        self.read_to = {}
        self.next_commit = 0.0

    def live(self):
        more = {
            "group.id": self.name,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6_000,
            "heartbeat.interval.ms": 200,
            "fetch.wait.max.ms": 50,
        }
        consumer = Consumer(config(self.address, **more))
        consumer.subscribe(self.topics, on_assign=self.on_assign)
        try:
            while not self.ending.is_set():
                messages = consumer.consume(500, 0.02)
                self.runs.add(messages)
                for message in messages:
                    if message.error() is None:
                        self.read_to[message.topic(), message.partition()] = message.offset() + 1
                if self.read_to and time.monotonic() >= self.next_commit:
                    self.commit(consumer)
                    self.next_commit = time.monotonic() + self.rng.uniform(0.02, 0.15)
        finally:
            consumer.close()

    def on_assign(self, _consumer, partitions):
        self.connection += 1
        self.read_to.clear()
        self.runs.forget(partitions)

    def commit(self, consumer):
        offsets = [TopicPartition(topic, partition, to) for (topic, partition), to in self.read_to.items()]
        self.read_to.clear()
        for each in offsets:
            self.history.add("commit", g=self.name, log=f"{each.topic}/{each.partition}", offset=each.offset)
        try:
            done = consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException:
            return  # Nobody knows; it stands in the history as begun.
        for each in done:
            if each.error is None:
                log = f"{each.topic}/{each.partition}"
                self.history.add("committed", g=self.name, log=log, offset=each.offset)


def ask_positions(history, address, group, partitions):
    """Asks for the committed offsets of a group."""
    consumer = Consumer(config(address, **{"group.id": group, "enable.auto.commit": False}))
    for topic, partition in partitions:
        history.add("ask", g=group, log=f"{topic}/{partition}")
    found = consumer.committed([TopicPartition(*each) for each in partitions], 10)
    for each in found:
        assert each.error is None, each
        log = f"{each.topic}/{each.partition}"
        history.add("position", g=group, log=log, offset=each.offset if each.offset >= 0 else None)
    consumer.close()


def read_all(history, address, partitions, final=False, meanwhile=lambda: None):
    """Reads partitions from their start to the end that they have when it is reached."""
    more = {
        # Without a group's name librdkafka makes no consumer; this one joins and commits nothing.
        "group.id": f"reader-{random.random()}",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "fetch.wait.max.ms": 20,
        "fetch.queue.backoff.ms": 1,
        "max.partition.fetch.bytes": 8 << 20,
    }
    consumer = Consumer(config(address, **more))
    # A view begins at the first record of its subject, not at 0.
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in partitions])
    left = {f"{topic}/{partition}" for topic, partition in partitions}
    runs = Runs(history)
    runs.positions = dict.fromkeys(left, 0)
    deadline = time.monotonic() + STUCK_SECONDS
    while left:
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing read for {STUCK_SECONDS} s, and not the end: {sorted(left)}")
        meanwhile()
        messages = consumer.consume(10_000, 0.01)
        if messages:
            deadline = time.monotonic() + STUCK_SECONDS
        runs.add(messages)
        for message in messages:
            error = message.error()
            if error is None:
                continue
            log = f"{message.topic()}/{message.partition()}"
            if error.code() == KafkaError._PARTITION_EOF:
                if final:
                    history.add("end", log=log, to=message.offset())
                left.discard(log)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                why = f"{log} has no offset {message.offset()}, to which its batches led the reader"
                history.add("fatal", c="reader", why=why)
                left.discard(log)
            elif not error.retriable() and error.code() not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                raise KafkaException(error)
    consumer.close()
