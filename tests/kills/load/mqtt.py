"""paho-mqtt under kill -9: publishers of QoS 1 and 2, and subscribers with lasting sessions.

Each client is one object for the whole run, as paho keeps what is in flight in memory: exactly-once
is a claim about both sides. Loops are driven by hand, so that what is sent again goes out before
anything new.
"""

import socket
import time

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from .base import RETRY_SECONDS, Load, Pace

IN_FLIGHT = 100
CONNACK_SECONDS = 5


class Client(paho.Client):
    """paho, with a memory for exchanges that were cut twice.

    It forgets that it owes a PUBREL when a second attempt to connect follows the first one, and sends
    the PUBLISH again, which is a new message by then. The half of the exchange that is tested here is
    the server's.
    """

    def _messages_reconnect_reset_out(self):
        owed = [m for m in self._out_messages.values() if m.state == paho.mqtt_ms_resend_pubrel]
        super()._messages_reconnect_reset_out()
        for message in owed:
            message.state = paho.mqtt_ms_resend_pubrel


class MqttLoad(Load):
    def __init__(self, name, history, rng, address, version):
        super().__init__(name, history, rng, address)
        self.version = version
        arguments = {"protocol": version, "client_id": name}
        if version != paho.MQTTv5:
            arguments["clean_session"] = False
        self.paho = Client(paho.CallbackAPIVersion.VERSION2, **arguments)
        self.paho.suppress_exceptions = False
        self.paho.max_inflight_messages_set(IN_FLIGHT)
        self.paho.connect_timeout = CONNACK_SECONDS
        self.paho.on_connect = self.on_connect
        self.begun = False

    def on_connect(self, _client, _data, flags, code, _properties):
        if code.is_failure:
            raise ConnectionError(f"{self.name}: {code}")
        self.connection += 1
        self.greeted(flags.session_present)
        self.connected = True

    def greeted(self, present):
        """CONNACK came; `present`: the server has the session."""

    def attempt(self):
        if self.begun:
            return self.paho.reconnect()
        more = {}
        if self.version == paho.MQTTv5:
            expiry = Properties(PacketTypes.CONNECT)
            expiry.SessionExpiryInterval = 86_400
            more = {"clean_start": False, "properties": expiry}
        result = self.paho.connect(*self.address, keepalive=60, **more)
        self.begun = True
        return result

    def live(self):
        try:
            self.attempt()
        except (ConnectionError, socket.timeout):
            time.sleep(RETRY_SECONDS)
            return
        end = time.monotonic() + CONNACK_SECONDS
        while not self.ending.is_set():
            if self.paho.loop(0.005) != paho.MQTT_ERR_SUCCESS:
                break
            if self.connected:
                self.turn()
            elif time.monotonic() > end:
                raise TimeoutError(f"{self.name}: no CONNACK within {CONNACK_SECONDS} s")
        self.connected = False

    def turn(self):
        """A moment with a connection."""


class Publisher(MqttLoad):
    """Publishes to one topic."""

    def __init__(self, name, history, rng, address, version, topic, qos, rate):
        super().__init__(name, history, rng, address, version)
        self.topic, self.qos = topic, qos
        self.log = topic.replace("/", ".") + "/0"
        self.pace = Pace(rng, rate)
        self.numbers = {}
        self.paho.on_publish = self.on_publish
        history.add("producer", p=name, repeats=qos == 1)

    def greeted(self, present):
        if self.connection > 1 and not present:
            self.history.add("fatal", c=self.name, why="the publisher's session is gone")

    def on_publish(self, _client, _data, mid, code, _properties):
        number = self.numbers.pop(mid, None)
        if number is None:
            return
        # Of a PUBREL that was answered before the crash, the server does not know any more.
        if code.is_failure and not (self.qos == 2 and code.value == 0x92):
            self.history.add("refused", p=self.name, n=number, why=str(code))
        else:
            self.history.acknowledged(self.name, number)

    def turn(self):
        if not self.producing.is_set():
            return
        for _ in range(self.pace.due()):
            if len(self.numbers) >= IN_FLIGHT:
                return
            number, data = self.history.invoke(self.name, self.log, self.pace.size())
            info = self.paho.publish(self.topic, data, self.qos)
            self.numbers[info.mid] = number

    def open_count(self):
        return len(self.numbers)


class Subscriber(MqttLoad):
    """A lasting session; sometimes slow, so that all states of an exchange are cut."""

    def __init__(self, name, history, rng, address, version, filters, qos, takes):
        super().__init__(name, history, rng, address, version)
        self.filters, self.qos, self.takes = filters, qos, takes
        self.paho.on_message = self.on_message
        self.paho.on_subscribe = self.on_subscribe
        self.subscribed = False
        history.add("receiver", r=name, kind="session", takes=takes)

    def greeted(self, present):
        self.history.add("session", r=self.name, present=present)
        if self.connection == 1:
            self.paho.subscribe([(each, self.qos) for each in self.filters])

    def on_subscribe(self, _client, _data, _mid, codes, _properties):
        granted = [code.value for code in codes]
        if granted != [self.qos] * len(self.filters):
            raise ConnectionError(f"{self.name}: SUBACK {granted}")
        self.subscribed = True

    def on_message(self, _client, _data, message):
        self.history.delivered(self.name, self.name, self.connection, message.payload, dup=message.dup)

    def turn(self):
        if self.rng.random() < 0.005:
            time.sleep(self.rng.uniform(0, 0.03))
