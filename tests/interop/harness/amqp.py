"""AMQP clients: pika with waiting built in, and a bare socket for frames spelled out in bytes."""

import socket
import struct
import time

import pika

from .waiting import PATIENCE

HEADER = b"AMQP\x00\x00\x09\x01"


def connect(address, user="guest", password="guest", vhost="/", **more):
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            *address,
            vhost,
            pika.PlainCredentials(user, password),
            socket_timeout=PATIENCE,
            blocked_connection_timeout=PATIENCE,
            **more,
        )
    )


class Consumer:
    """A consumer whose deliveries are taken one by one."""

    def __init__(self, channel, queue, auto_ack=False, **options):
        self.channel, self.got = channel, []
        self.tag = channel.basic_consume(queue, self._on_message, auto_ack=auto_ack, **options)

    def _on_message(self, _channel, method, properties, body):
        self.got.append((method, properties, body))

    def next(self, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while not self.got:
            assert time.monotonic() < end, f"no delivery within {seconds:g} s"
            self.channel.connection.process_data_events(0.01)
        return self.got.pop(0)

    def take(self, count):
        return [self.next() for _ in range(count)]


class Bare:
    """A socket on which frames are written and read byte by byte."""

    def __init__(self, address, header=HEADER):
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.sendall(header)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def receive(self, count):
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            data += more
        return data

    def frame(self):
        """(type, channel, payload), or None when the peer closes."""
        head = self.receive(7)
        if head is None:
            return None
        kind, channel, size = struct.unpack(">BHI", head)
        payload = self.receive(size)
        end = self.receive(1)
        assert end == b"\xce", (head, end)
        return kind, channel, payload

    def method(self):
        """(class, method, arguments) of the next method frame, or None."""
        while True:
            frame = self.frame()
            if frame is None:
                return None
            if frame[0] == 1:
                return (*struct.unpack(">HH", frame[2][:4]), frame[2][4:])

    def handshake(self):
        assert self.method()[:2] == (10, 10), "connection.start"
        answer = b"\0guest\0guest"
        self.send(method(0, 10, 11, struct.pack(">I", 0) + short("PLAIN") + struct.pack(">I", len(answer)) + answer + short("en_US")))
        name, number, tune = self.method()
        assert (name, number) == (10, 30), "connection.tune"
        self.send(method(0, 10, 31, tune))
        self.send(method(0, 10, 40, short("/") + short("") + b"\0"))
        assert self.method()[:2] == (10, 41), "connection.open-ok"
        return self

    def open_channel(self, channel=1):
        self.send(method(channel, 20, 10, short("")))
        assert self.method()[:2] == (20, 11), "channel.open-ok"
        return self

    def closed_with(self):
        """(code, text) of connection.close; the socket must end after it."""
        while True:
            found = self.method()
            assert found is not None, "the connection ended without connection.close"
            if found[:2] == (10, 50):
                code = struct.unpack(">H", found[2][:2])[0]
                text = found[2][3 : 3 + found[2][2]].decode()
                self.send(method(0, 10, 51, b""))
                assert self.frame() is None
                return code, text

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def short(value):
    value = value.encode()
    return bytes([len(value)]) + value


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel, class_id, method_id, arguments):
    return frame(1, channel, struct.pack(">HH", class_id, method_id) + arguments)
