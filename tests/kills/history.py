"""What clients do and see, written down as it happens, one JSON line for each event (see check.py)."""

import json
import threading
import time
import zlib
from collections import Counter, defaultdict

from check import digest

FILLER = bytes(range(32, 127)) * 900


def payload(producer, number, size):
    """Bytes that say who sent them, as which number, and whether they are whole."""
    head = b"%s/%d/" % (producer.encode(), number)
    start = number % 95
    body = head + FILLER[start : start + max(0, size - len(head) - 9)]
    return b"%s/%08x" % (body, zlib.crc32(body))


def ident(data):
    """The id in a payload, or "!.." if it is damaged."""
    data = bytes(data or b"")
    producer, _, rest = data[:-9].partition(b"/")
    if data[-9:] != b"/%08x" % zlib.crc32(data[:-9]):
        return f"!{len(data)} bytes, {data[:24].hex()}"
    return f"{producer.decode()}/{int(rest.partition(b'/')[0])}"


class History:
    """Threads add events; the order of the lines is the order in which they did."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "w", encoding="utf-8", buffering=1 << 20)
        self.lock = threading.Lock()
        self.begin = time.monotonic()
        self.counts = Counter()
        self.numbers = Counter()
        # For those who wait until everything has arrived; the judge does not ask them.
        self.acked, self.got = defaultdict(set), defaultdict(set)
        self.shown = defaultdict(dict)
        self.shown_to = Counter()

    def add(self, event, **fields):
        with self.lock:
            self._write(event, fields)

    def _write(self, event, fields):
        fields = {"e": event, "t": round(time.monotonic() - self.begin, 4)} | fields
        self.file.write(json.dumps(fields, separators=(",", ":")) + "\n")
        self.counts[event] += 1

    def invoke(self, producer, log, size):
        """Begins one more message of a producer: its number and its payload."""
        with self.lock:
            number = self.numbers[producer]
            self.numbers[producer] += 1
            self._write("invoke", {"p": producer, "n": number, "log": log})
        return number, payload(producer, number, size)

    def acknowledged(self, producer, number, offset=None):
        more = {} if offset is None else {"offset": offset}
        with self.lock:
            self.acked[producer].add(number)
            self._write("acked", {"p": producer, "n": number, **more})

    def lost(self, producer, number, why):
        """Nobody knows what became of it."""
        self.add("unknown", p=producer, n=number, why=why)

    def delivered(self, receiver, consumer, connection, data, tag=None, redelivered=False, dup=False):
        found = ident(data)
        fields = {"r": receiver, "c": consumer, "conn": connection, "id": found}
        if tag is not None:
            fields["tag"] = tag
        with self.lock:
            self.counts["redelivered"] += found in self.got[receiver]
            self.got[receiver].add(found)
            self._write("delivered", fields | {"redelivered": redelivered, "dup": dup})
        return found

    def read(self, log, position, pairs):
        """A reader went from `position` over these (offset, id) in a row, which begin there or later.

        What was written down before and is the same again is condensed.
        """
        with self.lock:
            shown = self.shown[log]
            same, new = [], []
            for offset, found in pairs:
                if not new and shown.get(offset) == found:
                    same.append((offset, found))
                else:
                    new.append((offset, found))
            if same:
                end = same[-1][0] + 1
                total = sum(digest(*pair) for pair in same)
                fields = {"log": log, "from": position, "to": end, "count": len(same), "sum": total}
                self._write("reread", fields)
                position = end
            if new:
                added = sum(offset not in shown for offset, _ in new)
                shown.update(new)
                self._write("read", {"log": log, "from": position, "to": new[-1][0] + 1, "at": new})
                self.counts["stored"] += added

    def missing(self, takes):
        """How many acknowledged messages have not come yet, by receiver."""
        with self.lock:
            left = {}
            for receiver, producers in takes.items():
                got = self.got[receiver]
                left[receiver] = sum(f"{p}/{n}" not in got for p in producers for n in self.acked[p])
            return {receiver: count for receiver, count in left.items() if count}

    def flush(self):
        with self.lock:
            self.file.flush()

    def close(self):
        with self.lock:
            self.file.close()
