"""What a hostile peer sends: the protocol's own error, a closed connection, flat memory, others undisturbed."""

import random
import socket
import struct
import threading
import time

import pytest

from harness import amqp, mqtt
from harness.config import PROTOCOLS
from harness.kafka import Wire
from harness.mqtt import Client
from harness.nats import Bare as NatsBare
from harness.waiting import PATIENCE, wait_until

TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(198)
HELLOS = {
    "mqtt": mqtt.connect_packet(5, "stranger"),
    "kafka": struct.pack(">ihhih", 17, 18, 0, 1, 7) + b"unknown",
    "nats": b'CONNECT {"verbose":false}\r\nPING\r\n',
    "amqp": b"AMQP\x00\x00\x09\x01",
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": TLS_HELLO,
}
# Lengths that would take all memory, in the place where each protocol has one.
HUGE = {
    "mqtt": b"\x10\xff\xff\xff\x7f" + b"\0\x04MQTT",
    "kafka": struct.pack(">i", 0x7FFFFFFF) + b"\0\x12\0\0",
    "nats": b"CONNECT {}\r\nPUB a 99999999999999\r\n",
    "amqp": amqp.HEADER + struct.pack(">BHI", 1, 0, 0xFFFFFFFF),
}


def say(address, data, half_close=False):
    """Sends bytes and reads until the peer closes; what it said, and whether it closed."""
    with socket.create_connection(address, PATIENCE) as peer:
        try:
            peer.sendall(data)
            if half_close:
                peer.shutdown(socket.SHUT_WR)
            heard = b""
            while more := peer.recv(65_536):
                heard += more
        except TimeoutError:
            return heard, False
        except OSError:
            return heard if "heard" in locals() else b"", True
    return heard, True


def check_answer(protocol, heard):
    """What a server may say to a peer that does not speak the protocol."""
    if protocol == "nats":
        assert heard.startswith(b"INFO "), heard
        rest = heard.split(b"\r\n", 1)[1]
        assert rest == b"" or rest.startswith((b"-ERR '", b"+OK", b"INFO ")), rest
    elif protocol == "amqp":
        assert heard == b"" or heard == amqp.HEADER or heard.startswith(b"\x01\x00\x00"), heard
    elif protocol == "mqtt":
        assert heard == b"" or heard[0] in (0x20, 0xE0), heard
    else:
        assert heard == b"", heard


class Undisturbed:
    """Clients of all protocols at work meanwhile; none may fail or wait long."""

    def __init__(self, server, token):
        self.server, self.token = server, token
        self.stopping, self.slowest, self.rounds, self.failure = threading.Event(), 0.0, 0, None
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            with (
                Client(self.server.address("mqtt")) as client,
                NatsBare(self.server.address("nats")) as nats,
                Wire(self.server.address("kafka")) as kafka,
            ):
                client.subscribe(f"calm/{self.token}", 1)
                while not self.stopping.is_set():
                    begin = time.monotonic()
                    nats.send(f"PUB calm.{self.token} 1\r\nx\r\n").ping()
                    assert client.next().payload == b"x"
                    kafka.call("ApiVersions", 0)
                    self.slowest = max(self.slowest, time.monotonic() - begin)
                    self.rounds += 1
        except BaseException as error:
            self.failure = error

    def _works_on(self):
        """One more round, begun after this call, or a failure."""
        goal = self.rounds + 2
        wait_until(lambda: self.failure is not None or self.rounds >= goal, "the other clients work")

    def __enter__(self):
        self.thread.start()
        self._works_on()
        self.rss = self.server.rss_bytes()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self._works_on()
        self.stopping.set()
        self.thread.join(30)
        if kind is None:
            if self.failure is not None:
                raise self.failure
            assert self.slowest < 2, f"{self.slowest:.1f} s for one round"
            grown = self.server.rss_bytes() - self.rss
            assert grown < 24 << 20, f"memory grew by {grown >> 20} MiB"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("hello", HELLOS)
def test_the_hello_of_another_protocol_is_turned_away(ours, protocol, hello):
    if protocol == hello:
        pytest.skip("its own")
    # One that waits for more than eight bytes may wait for the rest: so the stranger hangs up.
    heard, closed = say(ours.address(protocol), HELLOS[hello], half_close=True)
    assert closed
    check_answer(protocol, heard)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_garbage_is_turned_away_and_disturbs_nobody(ours, protocol, token):
    noise = random.Random(7)
    with Undisturbed(ours, token):
        for _ in range(200):
            heard, closed = say(ours.address(protocol), noise.randbytes(noise.randrange(1, 4_000)), half_close=True)
            assert closed
            check_answer(protocol, heard)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_huge_length_is_refused_before_anything_is_allocated(ours, protocol, token):
    with Undisturbed(ours, token):
        for _ in range(100):
            heard, closed = say(ours.address(protocol), HUGE[protocol])
            assert closed, "refused as soon as the length is there"
            if protocol == "nats":
                assert b"-ERR 'Maximum Payload Violation'" in heard
            else:
                check_answer(protocol, heard)


def test_huge_counts_inside_of_kafka_requests_are_refused(ours, token):
    # Metadata v1, Produce v3, Fetch v4 and CreateTopics v2 with arrays of two billion elements.
    bodies = {
        (3, 1): struct.pack(">i", 0x7FFFFFFF),
        (0, 3): struct.pack(">hhii", -1, -1, 1000, 0x7FFFFFFF),
        (1, 4): struct.pack(">iiiibi", -1, 0, 0, 1 << 20, 0, 0x7FFFFFFF),
        (19, 2): struct.pack(">i", 0x7FFFFFFF),
        (3, 12): b"\0" + b"\xff\xff\xff\xff\x0f",
    }
    with Undisturbed(ours, token):
        for (key, version), body in bodies.items():
            for _ in range(20):
                data = struct.pack(">hhih", key, version, 1, 1) + b"x" + body
                heard, closed = say(ours.address("kafka"), struct.pack(">i", len(data)) + data)
                assert closed and heard == b"", (key, version, heard)


def test_endless_properties_end_at_a_limit(ours, token):
    """A v5 PUBLISH of user properties up to the packet limit, a hundred times."""
    pair = b"\x26\0\x01a\0\x01b"
    count = 1_000_000 // len(pair)
    block = pair * count
    size = b""
    remaining = len(block)
    while True:
        remaining, low = divmod(remaining, 128)
        size += bytes([low | (128 if remaining else 0)])
        if not remaining:
            break
    topic = mqtt.text(f"flood/{token}")
    with Undisturbed(ours, token):
        for _ in range(20):
            with mqtt.Bare(ours.address("mqtt")) as bare:
                bare.connect(5).send(mqtt.packet(0x30, topic + size + block)).send(b"\xc0\0")
                answer = bare.packet()
                assert answer is None or answer[0] in (0xE0, 0xD0), answer


def test_endless_nats_lines_and_headers_end_at_a_limit(ours, token):
    with Undisturbed(ours, token):
        for data in (
            b"SUB " + b"a" * 1_000_000,
            b"CONNECT {" + b'"a":[' * 200_000,
            b"HPUB a 2000000 2000001\r\n",
            b"CONNECT {}\r\nHPUB a 12 5\r\n",
            b"\r\n" * 500_000 + b"BOGUS\r\n",
        ):
            heard, closed = say(ours.address("nats"), data)
            assert closed
            check_answer("nats", heard)


def test_broken_amqp_frames_get_amqps_own_errors(ours, token):
    address = ours.address("amqp")
    with Undisturbed(ours, token):
        for _ in range(20):
            with amqp.Bare(address) as bare:
                bare.handshake().open_channel()
                # queue.declare whose table claims four gigabytes
                table = struct.pack(">I", 0xFFFFFFF0)
                bare.send(amqp.method(1, 50, 10, b"\0\0" + amqp.short("q") + b"\0" + table))
                code, text = bare.closed_with()
                assert code in (501, 502, 505, 541), (code, text)
            with amqp.Bare(address) as bare:
                bare.handshake().open_channel()
                # a header that announces more than any message may have, and no end of bodies
                bare.send(amqp.method(1, 60, 40, b"\0\0" + amqp.short("") + amqp.short("q") + b"\0"))
                bare.send(amqp.frame(2, 1, struct.pack(">HHQH", 60, 0, 1 << 60, 0)))
                got = bare.method()
                assert got is not None and got[:2] in ((20, 40), (10, 50)), got
                assert struct.unpack(">H", got[2][:2])[0] in (406, 501, 311), got


def test_one_byte_per_second_holds_up_nobody_and_takes_no_memory(ours, token):
    slow = []
    for protocol in PROTOCOLS:
        for _ in range(50):
            peer = socket.create_connection(ours.address(protocol), PATIENCE)
            slow.append((peer, HELLOS[protocol]))
    with Undisturbed(ours, token):
        for second in range(5):
            begin = time.monotonic()
            for peer, hello in slow:
                try:
                    peer.sendall(hello[second : second + 1])
                except OSError:
                    pass  # Already turned away, which is as good.
            # The pace itself is what is tested.
            time.sleep(max(0.0, 1 - (time.monotonic() - begin)))
    for peer, _ in slow:
        peer.close()


def test_a_thousand_connections_that_say_nothing_are_let_go(ours, token):
    idle = []
    with Undisturbed(ours, token):
        for protocol in PROTOCOLS:
            for _ in range(250):
                idle.append(socket.create_connection(ours.address(protocol), PATIENCE))
    for peer in idle:
        peer.close()
    with Undisturbed(ours, token):
        pass  # The others go on when the crowd has left.


def test_a_reader_that_does_not_read_is_bounded(ours, token):
    """A subscriber with a full socket: what it cannot take is not kept without end."""
    with NatsBare(ours.address("nats")) as stuck, NatsBare(ours.address("nats")) as publisher:
        stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stuck.send(f"SUB stuck.{token} 1\r\n").ping()
        before = ours.rss_bytes()
        block = b"x" * 500_000
        for _ in range(600):
            publisher.send(b"PUB stuck.%s %d\r\n" % (token.encode(), len(block)) + block + b"\r\n")
        publisher.ping()
        grown = ours.rss_bytes() - before
        assert grown < 128 << 20, f"{grown >> 20} MiB for one slow reader of 300 MB"
