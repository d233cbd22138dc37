"""Kills the server again and again under load, and has the history of it judged.

    python runner.py --rounds 200 [--seed N] [--keep FOLDER] [--workers N] [--rate F] [--quick F]

A round: load for 0.3 to 2 s (some rounds: much shorter), kill -9 at a random moment, restart on the
same folder and ports; the same clients go on, and all logs are read from their start once more. At
the end everything is drained, the idle server is killed once more, and all logs are read to the end.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import paho.mqtt.client as paho
from confluent_kafka.admin import AdminClient, NewTopic

from check import check, load, report
from harness.server import Server
from harness.waiting import wait_until
from history import History
from load import amqp, kafka, mqtt

TOPICS = {"k.idem": 3, "k.once": 2}
GROUP = "readers"
# MQTT topics and AMQP keys as Kafka names them: views of one subject, in one partition.
PUBLISHERS = {
    # name: (version, QoS, topic, messages per second)
    "m1": (paho.MQTTv5, 1, "m/one/a", 200),
    "m2": (paho.MQTTv311, 1, "m/one/b", 150),
    "m3": (paho.MQTTv5, 2, "m/two/a", 200),
    "m4": (paho.MQTTv311, 2, "m/two/b", 150),
}
SUBSCRIBERS = {
    # name: (version, filters, QoS, {producer: how often})
    "s1": (paho.MQTTv311, ["m/#"], 1, dict.fromkeys(PUBLISHERS, "least")),
    "s2": (paho.MQTTv5, ["m/+/+"], 2, {"m1": "least", "m2": "least", "m3": "once", "m4": "once"}),
    "s3": (paho.MQTTv311, ["m/two/#", "a/topic"], 2, {"m3": "once", "m4": "once", "a1": "least"}),
    "s4": (paho.MQTTv5, ["k/once"], 1, {"k2": "least"}),
}
QUEUES = {"q.topic": ["a.#"], "q.direct": [], "q.mqtt": ["m.one.*", "m.two.a"]}
TAKEN = {"q.topic": ["a1"], "q.direct": ["a2"], "q.mqtt": ["m1", "m2", "m3"]}
CONSUMERS = {"c1": "q.topic", "c2": "q.topic", "c3": "q.direct", "c4": "q.mqtt"}
VIEWS = [*(topic.replace("/", ".") for _, _, topic, _ in PUBLISHERS.values()), "a.topic"]
GROUP_PARTITIONS = [(topic, p) for topic, count in TOPICS.items() for p in range(count)]
PARTITIONS = [*GROUP_PARTITIONS, *((view, 0) for view in VIEWS)]

LOAD_SECONDS = (0.3, 2.0)
QUICK_SECONDS = (0.01, 0.3)
DRAIN_SECONDS = 60


class ServerDied(AssertionError):
    """It ended without being killed."""


@dataclass
class Options:
    rounds: int = 20
    seed: int = 0
    workers: int = 0
    rate: float = 1.0
    quick: float = 0.2
    segment_bytes: str = "1MiB"
    keep: str = ""
    quiet: bool = False


class Run:
    def __init__(self, options):
        self.options = options
        self.rng = random.Random(options.seed)
        self.folder = Path(tempfile.mkdtemp(prefix=f"robust-kills-{options.seed}-"))
        self.history = History(self.folder / "history.jsonl")
        self.loads, self.slowest_restart = [], 0.0
        storage = f'[storage]\nsegment_bytes = "{options.segment_bytes}"\n'
        # A section cannot be written twice; INTEROP_ENGINE writes it too.
        more = "" if os.environ.get("INTEROP_ENGINE") else storage
        self.server = Server(self.folder, self.workers(), more)

    def workers(self):
        return self.options.workers or self.rng.randint(1, 3)

    def say(self, text):
        if not self.options.quiet:
            print(text, flush=True)

    def rng_of(self, name):
        """Each client draws its own numbers, so that threads do not disturb each other."""
        return random.Random(f"{self.options.seed} {name}")

    # Setting up.

    def prepare(self):
        address = self.server.address("kafka")
        admin = AdminClient(kafka.config(address))
        for topic, made in admin.create_topics([NewTopic(t, n, 1) for t, n in TOPICS.items()]).items():
            made.result(10)
            self.say(f"topic {topic}")
        amqp.declare(self.server.address("amqp"), QUEUES)
        for queue, producers in TAKEN.items():
            self.history.add("receiver", r=queue, kind="queue", takes=dict.fromkeys(producers, "least"))
        self.make_loads()
        for each in self.loads:
            each.start()
        ready = [each for each in self.loads if not isinstance(each, (kafka.KafkaProducer, kafka.Group))]
        wait_until(lambda: self.alive() and all(each.connected for each in ready), "all clients are connected", 20)
        wait_until(lambda: all(s.subscribed for s in self.loads if isinstance(s, mqtt.Subscriber)), "subscribed", 20)

    def make_loads(self):
        mqtt_at, kafka_at, amqp_at = (self.server.address(p) for p in ("mqtt", "kafka", "amqp"))
        history, factor = self.history, self.options.rate
        for name, (version, qos, topic, rate) in PUBLISHERS.items():
            rng = self.rng_of(name)
            self.loads.append(mqtt.Publisher(name, history, rng, mqtt_at, version, topic, qos, rate * factor))
        for name, (version, filters, qos, takes) in SUBSCRIBERS.items():
            self.loads.append(mqtt.Subscriber(name, history, self.rng_of(name), mqtt_at, version, filters, qos, takes))
        for name, topic, rate, idempotent in (("k1", "k.idem", 1_500, True), ("k2", "k.once", 400, False)):
            rng = self.rng_of(name)
            where = topic, TOPICS[topic]
            self.loads.append(kafka.KafkaProducer(name, history, rng, kafka_at, *where, rate * factor, idempotent))
        self.loads.append(kafka.Group(GROUP, history, self.rng_of(GROUP), kafka_at, list(TOPICS)))
        for name, exchange, key, log in (("a1", "amq.topic", "a.topic", "a.topic/0"), ("a2", "", "q.direct", None)):
            rng = self.rng_of(name)
            self.loads.append(amqp.Publisher(name, history, rng, amqp_at, exchange, key, log, 250 * factor))
        for name, queue in CONSUMERS.items():
            self.loads.append(amqp.Consumer(name, history, self.rng_of(name), amqp_at, queue))

    # Rounds.

    def alive(self):
        for each in self.loads:
            if each.failure is not None:
                raise AssertionError(f"client {each.name} failed") from each.failure
        if self.server.process.poll() is not None:
            raise ServerDied(f"the server ended by itself with {self.server.process.returncode}")
        return True

    def kill(self, round_number):
        self.alive()
        self.history.add("mark", what="kill", round=round_number)
        self.server.kill()
        # Everything that the old server said is written down before the new one begins.
        wait_until(lambda: not any(each.connected for each in self.loads), "all clients saw the kill", 10)

    def restart(self, round_number):
        self.history.add("mark", what="restart", round=round_number)
        self.server.workers = self.workers()
        begin = time.monotonic()
        self.server.start()
        took = time.monotonic() - begin
        self.slowest_restart = max(self.slowest_restart, took)
        return took

    def wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.alive()
            time.sleep(min(0.05, max(0, end - time.monotonic())))

    def one_round(self, number):
        before = self.history.counts.copy()
        begin = time.monotonic()
        quick = number > 1 and self.rng.random() < self.options.quick
        if not quick:
            kafka.ask_positions(self.history, self.server.address("kafka"), GROUP, GROUP_PARTITIONS)
            if number > 1:
                self.read_under_load()
        self.wait(self.rng.uniform(*(QUICK_SECONDS if quick else LOAD_SECONDS)))
        cut = self.wait_for_work()
        moment = time.monotonic() - begin
        self.kill(number)
        took = self.restart(number)
        new = self.history.counts - before
        self.say(
            f"round {number:3}: killed after {moment:5.2f} s with {cut:3} in flight, back in {took:4.2f} s;"
            f" acknowledged {new['acked']:5}, unknown {new['unknown']:3}, read first {new['stored']:5},"
            f" delivered {new['delivered']:5}, again {new['redelivered']:4}, commits {new['committed']:3}"
        )

    def read_under_load(self):
        """Reads all logs from their start. Load pauses after a while: in a long run, what is written
        while all is read would be more with each round."""
        pause = time.monotonic() + LOAD_SECONDS[1]

        def meanwhile():
            if time.monotonic() > pause:
                self.produce(False)

        kafka.read_all(self.history, self.server.address("kafka"), PARTITIONS, meanwhile=meanwhile)
        self.produce(True)

    def produce(self, on):
        for each in self.loads:
            if on:
                each.producing.set()
            else:
                each.producing.clear()

    def wait_for_work(self):
        """Until a random number of messages is in flight; bursts are over in milliseconds."""
        least = self.rng.randint(0, 60)
        end = time.monotonic() + 0.2
        while self.in_flight() < least and time.monotonic() < end:
            pass
        return self.in_flight()

    def in_flight(self):
        return sum(each.open_count() for each in self.loads if hasattr(each, "pace"))

    # The end.

    def quiesce(self):
        self.produce(False)
        open_ones = lambda: sum(each.open_count() for each in self.loads)
        # Not an assertion: what is still missing after it, the judge names.
        self.settle(lambda: open_ones() == 0, "all answers")
        takes = {name: takes for name, (_, _, _, takes) in SUBSCRIBERS.items()} | TAKEN
        self.settle(lambda: not self.history.missing(takes), "all deliveries")
        self.settle(lambda: open_ones() == 0, "all acknowledgements")
        # Time for what should not come any more.
        self.wait(1.0)

    def settle(self, condition, what):
        end = time.monotonic() + DRAIN_SECONDS
        while not condition():
            self.alive()
            if time.monotonic() > end:
                self.say(f"not within {DRAIN_SECONDS} s: {what}")
                return
            time.sleep(0.1)

    def finish(self):
        self.quiesce()
        self.say("drained; killed once more at rest")
        self.kill(self.options.rounds + 1)
        self.restart(self.options.rounds + 1)
        reconnecting = [each for each in self.loads if not isinstance(each, (kafka.KafkaProducer, kafka.Group))]
        wait_until(lambda: self.alive() and all(each.connected for each in reconnecting), "connected again", 20)
        self.quiesce()
        group = next(each for each in self.loads if isinstance(each, kafka.Group))
        group.end()
        kafka.ask_positions(self.history, self.server.address("kafka"), GROUP, GROUP_PARTITIONS)
        self.history.add("mark", what="drained")
        kafka.read_all(self.history, self.server.address("kafka"), PARTITIONS, final=True)

    def everything(self):
        self.prepare()
        # One message each, so that all views are there.
        self.produce(True)
        wait_until(lambda: self.alive() and all(self.history.acked[p] for p in self.producers()), "a first message", 20)
        for number in range(1, self.options.rounds + 1):
            self.one_round(number)
        self.finish()

    def producers(self):
        return [*PUBLISHERS, "k1", "k2", "a1", "a2"]

    def close(self):
        for each in self.loads:
            each.ending.set()
        for each in self.loads:
            each.join(10)
        self.history.close()

    def run(self):
        """The verdict; raises when the run itself could not go on."""
        begin = time.monotonic()
        self.say(f"seed {self.options.seed}, {self.options.rounds} rounds, in {self.folder}")
        try:
            self.everything()
        finally:
            self.close()
            if self.server.process.poll() is None:
                self.server.process.kill()
                self.server.process.wait(10)
        verdict = check(load(self.history.path))
        self.say(", ".join(f"{value} {key}" for key, value in verdict.counts.items()))
        self.say(f"slowest restart {self.slowest_restart:.2f} s, {time.monotonic() - begin:.0f} s in all")
        return verdict


def keep(run, options):
    """Moves what a failure left to where somebody looks for it; the folder."""
    to = Path(options.keep or tempfile.gettempdir()) / f"kills-failed-{options.seed}"
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(run.folder, to)
    return to


def kills(options):
    """Runs and judges; fails with the first violations and where everything is kept."""
    run = Run(options)
    try:
        try:
            verdict = run.run()
        except Exception as error:
            to = keep(run, options)
            tail = "\n".join(run.server.log().splitlines()[-20:])
            so_far = report(to / "history.jsonl", check(load(to / "history.jsonl")))
            text = f"the run could not go on: {error!r}; kept in {to}, seed {options.seed}"
            raise AssertionError(f"{text}\n{so_far}\n--- end of the server's log ---\n{tail}") from error
        if not verdict.holds:
            to = keep(run, options)
            raise AssertionError(f"{report(to / 'history.jsonl', verdict)}\nkept in {to}, seed {options.seed}")
        return verdict
    finally:
        shutil.rmtree(run.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--workers", type=int, default=0, help="I/O workers; 0: another number in each round")
    parser.add_argument("--rate", type=float, default=1.0, help="messages per second, as a factor")
    parser.add_argument("--quick", type=float, default=0.2, help="share of rounds that end while clients reconnect")
    parser.add_argument("--segment-bytes", default="1MiB")
    parser.add_argument("--keep", default="", help="folder for what a failure leaves")
    kills(Options(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
