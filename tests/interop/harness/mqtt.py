"""MQTT clients: paho with waiting built in, the mosquitto programs, and a bare socket."""

import queue
import socket
import struct
import subprocess
import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from .waiting import PATIENCE

V31, V311, V5 = paho.MQTTv31, paho.MQTTv311, paho.MQTTv5
VERSIONS = {"3.1": V31, "3.1.1": V311, "5": V5}


def properties(packet, **values):
    made = Properties(getattr(PacketTypes, packet))
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Client:
    """One paho connection; what arrives is queued in `messages`."""

    def __init__(self, address, version=V5, client_id="", clean=True, expiry=None, will=None, keepalive=60, **connect):
        self.address, self.version, self.keepalive = address, version, keepalive
        arguments = {"protocol": version, "client_id": client_id}
        if version != V5:
            arguments["clean_session"] = clean
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, **arguments)
        self.messages, self.connack, self.ended = queue.Queue(), queue.Queue(), queue.Queue()
        self.subscribed, self.published = {}, {}
        self.answered = threading.Condition()
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_connect = lambda _c, _u, flags, code, props: self.connack.put((flags, code, props))
        self.paho.on_disconnect = lambda _c, _u, _f, code, _p: self.ended.put(code)
        self.paho.on_subscribe = lambda _c, _u, mid, codes, _p: self._answer(self.subscribed, mid, codes)
        self.paho.on_unsubscribe = lambda _c, _u, mid, codes, _p: self._answer(self.subscribed, mid, codes)
        self.paho.on_publish = lambda _c, _u, mid, code, _p: self._answer(self.published, mid, code)
        self.paho.reconnect_delay_set(3600, 3600)
        if will is not None:
            self.paho.will_set(**will)
        if version == V5:
            connect["clean_start"] = clean
            if expiry is not None:
                connect.setdefault("properties", properties("CONNECT")).SessionExpiryInterval = expiry
        self.connect_arguments = connect

    def connect(self):
        self.paho.connect(*self.address, keepalive=self.keepalive, **self.connect_arguments)
        self.paho.loop_start()
        self.flags, self.code, self.properties = self.connack.get(timeout=PATIENCE)
        assert not self.code.is_failure, self.code
        return self

    def _answer(self, answers, mid, value):
        with self.answered:
            answers[mid] = value
            self.answered.notify_all()

    def _await(self, answers, mid, what):
        with self.answered:
            assert self.answered.wait_for(lambda: mid in answers, PATIENCE), f"no {what}"
            return answers[mid]

    def subscribe(self, topic, qos=0, **options):
        if self.version == V5:
            props = options.pop("properties", None)
            result, mid = self.paho.subscribe(
                topic, options=SubscribeOptions(qos=qos, **options), properties=props
            )
        else:
            result, mid = self.paho.subscribe(topic, qos)
        assert result == paho.MQTT_ERR_SUCCESS, result
        return self._await(self.subscribed, mid, "SUBACK")[0]

    def unsubscribe(self, topic):
        _, mid = self.paho.unsubscribe(topic)
        return self._await(self.subscribed, mid, "UNSUBACK")

    def publish(self, topic, payload=b"", qos=0, retain=False, **values):
        """Publishes and waits for the last answer; its reason code."""
        props = properties("PUBLISH", **values) if values else None
        info = self.paho.publish(topic, payload, qos, retain, props)
        return self._await(self.published, info.mid, "answer to PUBLISH")

    def next(self, seconds=PATIENCE):
        return self.messages.get(timeout=seconds)

    def take(self, count, seconds=PATIENCE):
        return [self.next(seconds) for _ in range(count)]

    def disconnect(self, reason=None, expiry=None):
        props = None
        if expiry is not None:
            props = properties("DISCONNECT", SessionExpiryInterval=expiry)
        self.paho.disconnect(reasoncode=reason, properties=props)
        self.paho.loop_stop()
        return self

    def drop(self):
        """Cuts the TCP connection without a DISCONNECT packet."""
        sock = self.paho.socket()
        self.paho.loop_stop()
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def __enter__(self):
        return self if self.connack.qsize() or hasattr(self, "code") else self.connect()

    def __exit__(self, *_):
        self.paho.disconnect()
        self.paho.loop_stop()


class MosquittoSub:
    """mosquitto_sub, subscribed when the constructor returns."""

    FORMAT = "GOT|%t|%q|%r|%x|%p"

    def __init__(self, address, topic, version="5", qos=0, more=()):
        names = {"3.1": "mqttv31", "3.1.1": "mqttv311", "5": "mqttv5"}
        pattern = self.FORMAT if version == "5" else self.FORMAT.replace("%x", "%m")
        self.process = subprocess.Popen(
            # Into a pipe it would write by the block.
            ["stdbuf", "-oL", "mosquitto_sub", "-d", "-h", address[0], "-p", str(address[1]), "-V", names[version]]
            + ["-t", topic, "-q", str(qos), "-F", pattern, *more],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        while not self.lines.get(timeout=PATIENCE).startswith("Subscribed"):
            pass

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put("END")

    def next(self):
        """(topic, qos, retained, payload) of the next message."""
        while True:
            line = self.lines.get(timeout=PATIENCE)
            assert line != "END", "mosquitto_sub ended"
            if line.startswith("GOT|"):
                _, topic, qos, retained, _, payload = line.split("|", 5)
                return topic, int(qos), retained == "1", payload

    def close(self):
        self.process.terminate()
        self.process.wait(10)


def mosquitto_pub(address, topic, payload, version="5", qos=0, more=()):
    names = {"3.1": "mqttv31", "3.1.1": "mqttv311", "5": "mqttv5"}
    subprocess.run(
        ["mosquitto_pub", "-h", address[0], "-p", str(address[1]), "-V", names[version]]
        + ["-t", topic, "-m", payload, "-q", str(qos), *more],
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=PATIENCE,
        capture_output=True,
    )


class Bare:
    """A socket that speaks MQTT packets spelled out in bytes."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, PATIENCE)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, f"closed after {data!r}"
            data += more
        return data

    def packet(self):
        """The next packet as (first byte, body), or None when the peer closes."""
        try:
            first = self.socket.recv(1)
        except ConnectionResetError:
            return None
        if not first:
            return None
        length, shift = 0, 0
        while True:
            byte = self.exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return first[0], self.exactly(length)

    def connect(self, version=5, client_id="", keepalive=60, flags=2):
        self.send(connect_packet(version, client_id, keepalive, flags))
        first, body = self.packet()
        assert first == 0x20 and body[1] == 0, (first, body)
        return self

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(value)) + value


def packet(first, body):
    length, remaining = b"", len(body)
    while True:
        remaining, low = divmod(remaining, 128)
        length += bytes([low | (128 if remaining else 0)])
        if not remaining:
            return bytes([first]) + length + body


def connect_packet(version=5, client_id="", keepalive=60, flags=2):
    name = "MQIsdp" if version == 3 else "MQTT"
    body = text(name) + bytes([version, flags]) + struct.pack("!H", keepalive)
    return packet(0x10, body + (b"\0" if version == 5 else b"") + text(client_id))


def publish_packet(topic, payload, qos=0, mid=1, version=5, dup=False):
    body = text(topic) + (struct.pack("!H", mid) if qos else b"") + (b"\0" if version == 5 else b"") + payload
    return packet(0x30 | qos << 1 | (8 if dup else 0), body)


def subscribe_packet(topic, qos=0, mid=1, version=5):
    body = struct.pack("!H", mid) + (b"\0" if version == 5 else b"") + text(topic) + bytes([qos])
    return packet(0x82, body)


