"""A server whose streams were filled through Kafka and MQTT until they left the log, and stopped."""

import os
import random

import confluent_kafka

from .kafka import CODECS
from .mqtt import Client
from .server import HOST, Server
from .waiting import PATIENCE, wait_until

# Small segments, so that little data is enough for a drain; each busy partition gets files of its own.
CONFIG = """
[storage]
segment_bytes = "1MiB"
drain_segments = 2
hot_bytes = "64KiB"
checkpoint_rows = 1000

[[stream]]
name = "busy"
filters = ["busy"]

[[stream]]
name = "sensors"
filters = ["sensors/#"]
"""
VALUE_BYTES = 2_000


class Filled:
    """What was written, and where it is."""

    def __init__(self, folder):
        self.server = Server(folder, 1, CONFIG)
        self.busy = {}
        self.sensors = []
        try:
            self._produce()
            self._publish()
            wait_until(self._rests, "busy partitions have files of their own", 30)
        finally:
            self.server.stop()
        self.data = self.server.data

    def _produce(self):
        """Batches of each codec into one partition; what stands at which offset."""
        dice = random.Random(1)
        for codec in CODECS:
            client = confluent_kafka.Producer(
                {
                    "bootstrap.servers": f"{HOST}:{self.server.ports['kafka']}",
                    "acks": "all",
                    "compression.type": codec,
                    "linger.ms": 20,
                }
            )

            def note(error, message):
                assert error is None, error
                self.busy[message.offset()] = (message.key().decode(), message.value().decode())

            for number in range(1_000):
                value = f"{codec}-{number}-".ljust(VALUE_BYTES // 2, ".") + dice.randbytes(VALUE_BYTES // 4).hex()
                client.produce("busy", key=f"k{number}", value=value, on_delivery=note)
                client.poll(0)
            assert client.flush(PATIENCE) == 0
        assert sorted(self.busy) == list(range(1_000 * len(CODECS)))

    def _publish(self):
        """Single messages through MQTT, which the server gathers into batches."""
        dice = random.Random(2)
        client = Client(self.server.address("mqtt"), client_id="sensors")
        client.paho.max_inflight_messages_set(200)
        with client.connect():
            sent = []
            for number in range(3_000):
                value = f"mqtt-{number}-" + dice.randbytes(VALUE_BYTES // 2).hex()
                sent.append(client.paho.publish(f"sensors/{number % 7}/temp", value, 1))
                self.sensors.append((f"sensors/{number % 7}/temp", value))
            for info in sent:
                info.wait_for_publish(PATIENCE)
                assert info.is_published()

    def _rests(self):
        """Files of their own hold both streams."""
        found = set()
        for path in self.server.data.glob("*.log"):
            text = path.read_bytes()
            found |= {name for name in (b"none-", b"mqtt-") if name in text}
        return len(found) == 2

    def close(self):
        self.server.close()


def is_another_engine():
    return bool(os.environ.get("INTEROP_ENGINE"))
