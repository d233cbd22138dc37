"""A bare NATS connection, and nats-py run from plain test functions."""

import asyncio
import inspect
import json
import socket

import nats

from .waiting import PATIENCE


class Bare:
    """A socket that speaks the text protocol line by line."""

    def __init__(self, address, **connect):
        self.socket = socket.create_connection(address, PATIENCE)
        self.buffer = b""
        line = self.line()
        assert line.startswith(b"INFO "), line
        self.info = json.loads(line[5:])
        if connect is not None:
            options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "protocol": 1}
            self.send(f"CONNECT {json.dumps(options | connect)}\r\n")

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def line(self):
        """The next line without CRLF, or None when the peer closes."""
        while b"\r\n" not in self.buffer:
            try:
                more = self.socket.recv(65_536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def answer(self):
        """The next line that is not INFO: it may come at any time."""
        while True:
            line = self.line()
            if line is None or not line.startswith(b"INFO "):
                return line

    def bytes(self, count):
        while len(self.buffer) < count:
            more = self.socket.recv(65_536)
            assert more, "closed"
            self.buffer += more
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def ping(self):
        """All that was sent before is handled when this returns; nothing else may arrive."""
        self.send("PING\r\n")
        line = self.answer()
        assert line == b"PONG", line
        return self

    def message(self):
        """(subject, sid, reply, headers, payload) of the next MSG or HMSG."""
        words = self.answer().split(b" ")
        if words[0] == b"MSG":
            size = int(words[-1])
            reply = words[3] if len(words) == 5 else None
            data = self.bytes(size + 2)[:-2]
            return words[1], words[2], reply, b"", data
        assert words[0] == b"HMSG", words
        headers, size = int(words[-2]), int(words[-1])
        reply = words[3] if len(words) == 6 else None
        data = self.bytes(size + 2)[:-2]
        return words[1], words[2], reply, data[:headers], data[headers:]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def with_nats(address, scenario):
    """Runs an async function with a nats-py connection for each of its parameters."""

    async def run():
        errors = []

        async def on_error(error):
            errors.append(error)

        connections = []
        for _ in inspect.signature(scenario).parameters:
            connections.append(
                await nats.connect(
                    f"nats://{address[0]}:{address[1]}",
                    connect_timeout=PATIENCE,
                    allow_reconnect=False,
                    error_cb=on_error,
                )
            )
        try:
            await scenario(*connections)
        finally:
            for connection in connections:
                await connection.close()
        assert not errors, errors

    asyncio.run(asyncio.wait_for(run(), 60))
