"""MQTT 3.1, 3.1.1 and 5 with paho-mqtt and the mosquitto programs."""

import queue
import struct

import pytest

from harness.mqtt import (
    V5,
    V311,
    VERSIONS,
    Bare,
    Client,
    MosquittoSub,
    connect_packet,
    mosquitto_pub,
    packet,
    properties,
    publish_packet,
    subscribe_packet,
)
from harness.waiting import PATIENCE, let_time_pass, wait_until

PROTOCOL = "mqtt"


@pytest.fixture
def address(server):
    return server.address("mqtt")


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", VERSIONS)
def test_mosquitto_sub_receives_what_mosquitto_pub_sends(address, token, version, qos):
    sub = MosquittoSub(address, f"{token}/#", version, qos)
    try:
        mosquitto_pub(address, f"{token}/a", "hello", version, qos)
        assert sub.next() == (f"{token}/a", qos, False, "hello")
    finally:
        sub.close()


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_delivery_takes_the_lower_of_both_qos(address, token, version):
    with Client(address, version) as publisher:
        for granted in (0, 1, 2):
            with Client(address, version) as subscriber:
                topic = f"{token}/{granted}"
                assert subscriber.subscribe(topic, granted).value == granted
                for sent in (0, 1, 2):
                    publisher.publish(topic, b"%d" % sent, sent)
                    got = subscriber.next()
                    assert (got.payload, got.qos, got.retain) == (b"%d" % sent, min(sent, granted), False)


def test_many_messages_keep_their_order_and_come_once(address, token):
    with Client(address) as subscriber, Client(address) as publisher:
        subscriber.subscribe(token, 2)
        for qos in (0, 1, 2):
            infos = [publisher.paho.publish(token, b"%d" % n, qos) for n in range(500)]
            assert [m.payload for m in subscriber.take(500)] == [b"%d" % n for n in range(500)]
            for info in infos:
                info.wait_for_publish(PATIENCE)
        publisher.publish(token, b"end", 2)
        assert subscriber.next().payload == b"end"


def test_wildcards_match_as_the_specification_says(address, token):
    cases = {
        f"{token}/+": ["a"],
        f"{token}/+/b": ["a/b", "/b"],
        f"{token}/#": ["", "a", "a/b", "/b", "a/"],
        f"{token}/+/+": ["a/b", "/b", "a/"],
        f"{token}": [""],
        f"+/a": ["a"],
    }
    topics = {"": token, "a": f"{token}/a", "a/b": f"{token}/a/b", "/b": f"{token}//b", "a/": f"{token}/a/"}
    with Client(address) as publisher:
        for pattern, expected in cases.items():
            with Client(address) as subscriber:
                subscriber.subscribe(pattern, 1)
                subscriber.subscribe(f"end/{token}", 1)
                for name, topic in topics.items():
                    publisher.publish(topic, name.encode(), 1)
                publisher.publish(f"end/{token}", b"END", 1)
                got = []
                while (message := subscriber.next()).payload != b"END":
                    got.append(message.payload.decode())
                # Order is promised per topic, so the end may overtake; then more is on its way.
                while len(got) < len(expected):
                    got.append(subscriber.next().payload.decode())
                assert sorted(got) == sorted(expected), pattern


def test_wildcards_at_the_front_do_not_see_dollar_topics(address, token):
    with Client(address) as wild, Client(address) as exact, Client(address) as publisher:
        assert wild.subscribe("#").value == 0
        exact.subscribe(f"$x{token}/a")
        publisher.publish(f"$x{token}/a", b"hidden")
        assert exact.next().payload == b"hidden"
        publisher.publish(f"{token}/b", b"seen")
        while (got := wild.next()).topic != f"{token}/b":
            assert not got.topic.startswith("$"), got.topic


def test_overlapping_subscriptions_deliver_at_the_highest_qos(ours, token):
    # Mosquitto 2.0 delivers by the first subscription that it finds.
    with Client(ours.address("mqtt"), V311) as client:
        client.subscribe(f"{token}/+", 0)
        client.subscribe(f"{token}/#", 2)
        client.publish(f"{token}/a", b"x", 2)
        # One copy or one per subscription; both are allowed, and one of them has QoS 2.
        copies = [client.next()]
        if copies[0].qos == 0:
            copies.append(client.next())
        assert {copy.payload for copy in copies} == {b"x"}
        assert max(copy.qos for copy in copies) == 2


def test_a_retained_message_greets_later_subscribers(address, token):
    with Client(address) as publisher, Client(address) as early:
        early.subscribe(token, 1)
        publisher.publish(token, b"last", 1, retain=True)
        assert early.next().retain is False, "a live message is not marked as retained"
        with Client(address) as late:
            late.subscribe(token, 1)
            got = late.next()
            assert (got.payload, got.retain, got.qos) == (b"last", True, 1)
        publisher.publish(token, b"newer", 0, retain=True)
        with Client(address, V311) as late:
            late.subscribe(token, 1)
            got = late.next()
            assert (got.payload, got.retain, got.qos) == (b"newer", True, 0)
        publisher.publish(token, b"", 1, retain=True)
        with Client(address) as late:
            late.subscribe(token, 1)
            publisher.publish(token, b"live", 1)
            assert late.next().payload == b"live", "the empty payload cleared it"


def test_retain_handling_and_retain_as_published_are_kept(address, token):
    with Client(address) as publisher, Client(address) as client:
        publisher.publish(token, b"kept", 1, retain=True)
        client.subscribe(token, 1, retainHandling=2, retainAsPublished=True)
        publisher.publish(token, b"live", 1, retain=True)
        got = client.next()
        assert (got.payload, got.retain) == (b"live", True)
        client.subscribe(token, 1, retainHandling=1)
        publisher.publish(token, b"again", 1)
        assert client.next().payload == b"again", "the subscription is not new: nothing is replayed"
        client.unsubscribe(token)
        client.subscribe(token, 1, retainHandling=1)
        got = client.next()
        assert (got.payload, got.retain) == (b"live", True)


def test_a_subscriber_can_skip_its_own_messages(address, token):
    with Client(address) as one, Client(address) as two:
        one.subscribe(token, 1, noLocal=True)
        one.publish(token, b"mine", 1)
        two.publish(token, b"yours", 1)
        assert one.next().payload == b"yours"


def test_subscription_identifiers_come_back(address, token):
    with Client(address) as client:
        client.subscribe(f"{token}/a", 1, properties=properties("SUBSCRIBE", SubscriptionIdentifier=7))
        client.publish(f"{token}/a", b"x", 1)
        assert client.next().properties.SubscriptionIdentifier == [7]


def test_unsubscribing_ends_deliveries(address, token):
    with Client(address) as client:
        client.subscribe(f"{token}/a", 1)
        client.subscribe(f"{token}/b", 1)
        codes = client.unsubscribe(f"{token}/a")
        assert [code.value for code in codes] == [0]
        assert [code.value for code in client.unsubscribe(f"{token}/never")] == [0x11]
        client.publish(f"{token}/a", b"no", 1)
        client.publish(f"{token}/b", b"yes", 1)
        assert client.next().payload == b"yes"


@pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])
def test_a_will_is_published_when_the_connection_breaks(address, token, version):
    with Client(address, version) as watcher:
        watcher.subscribe(token, 1)
        will = {"topic": token, "payload": b"gone", "qos": 1, "retain": True}
        Client(address, version, will=will).connect().drop()
        assert watcher.next().payload == b"gone"
        with Client(address, version) as late:
            late.subscribe(token, 1)
            assert late.next().retain is True
        watcher.publish(token, b"", 1, retain=True)
        assert watcher.next().payload == b""


def test_a_will_is_not_published_after_a_clean_disconnect(address, token):
    with Client(address) as watcher:
        watcher.subscribe(token, 1)
        Client(address, will={"topic": token, "payload": b"gone", "qos": 1}).connect().disconnect()
        watcher.publish(token, b"end", 1)
        assert watcher.next().payload == b"end"


def test_a_client_can_ask_for_its_will_at_disconnect(address, token):
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    with Client(address) as watcher:
        watcher.subscribe(token, 1)
        leaving = Client(address, will={"topic": token, "payload": b"gone", "qos": 1}).connect()
        leaving.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
        assert watcher.next().payload == b"gone"


def test_a_delayed_will_waits_and_is_dropped_when_the_client_is_back(address, token):
    def leaver(delay):
        will = {"topic": token, "payload": b"gone", "qos": 1}
        will["properties"] = properties("WILLMESSAGE", WillDelayInterval=delay)
        return Client(address, client_id=f"will-{token}", clean=False, expiry=60, will=will)

    with Client(address) as watcher:
        watcher.subscribe(token, 1)
        leaver(1).connect().drop()
        back = leaver(1).connect()
        let_time_pass(1.5, "the delay of the first will")
        watcher.publish(token, b"nothing yet", 1)
        assert watcher.next().payload == b"nothing yet"
        back.drop()
        assert watcher.next().payload == b"gone"


@pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])
def test_a_persistent_session_gets_what_it_missed(address, token, version):
    def session(clean=False):
        expiry = 60 if version == V5 and not clean else None
        return Client(address, version, f"c-{token}", clean, expiry)

    with session() as client:
        assert not client.flags.session_present
        client.subscribe(f"{token}/#", 2)
    with Client(address, version) as publisher:
        for number in range(20):
            publisher.publish(f"{token}/a", b"%d" % number, 1 + number % 2)
    client = session().connect()
    assert client.flags.session_present
    got = client.take(20)
    # The client hands on QoS 2 at PUBREL, so each QoS has an order of its own.
    for qos in (1, 2):
        assert [m.payload for m in got if m.qos == qos] == [b"%d" % n for n in range(qos - 1, 20, 2)]
    client.disconnect()
    with session() as client:
        assert client.flags.session_present
        client.publish(f"{token}/a", b"end", 1)
        assert client.next().payload == b"end", "what was acknowledged does not come again"
    with session(clean=True) as client:
        assert not client.flags.session_present
    with session() as client:
        assert not client.flags.session_present


def test_a_session_ends_when_its_expiry_is_over(address, token):
    with Client(address, client_id=token, clean=False, expiry=1) as client:
        client.subscribe(token, 1)
    let_time_pass(2.5, "the session's expiry")
    with Client(address, client_id=token, clean=False, expiry=60) as client:
        assert not client.flags.session_present
        client.disconnect(expiry=0)
    with Client(address, client_id=token, clean=False, expiry=60) as client:
        assert not client.flags.session_present, "the expiry given at disconnect holds"


@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
def test_a_second_connection_with_the_same_id_takes_over(server, address, token, version):
    with Bare(address) as first:
        first.connect(version, token, flags=0)
        first.send(subscribe_packet(token, 1, 1, version))
        assert first.packet()[0] == 0x90
        with Client(address, VERSIONS["5" if version == 5 else "3.1.1"], token, False) as second:
            # A v5 session of the first connection ends with it: its expiry is 0.
            assert second.flags.session_present == (version == 4)
            goodbye = first.packet()
            if version == 5 and server.ours:  # Mosquitto 2.0 just closes.
                assert goodbye[0] == 0xE0 and goodbye[1][0] == 0x8E, "session taken over"
                goodbye = first.packet()
            assert goodbye is None
            second.subscribe(token, 1)
            second.publish(token, b"to the second", 1)
            assert second.next().payload == b"to the second"


def test_a_shared_subscription_gives_each_message_to_one_member(address, token):
    members = [Client(address).connect() for _ in range(3)]
    try:
        for member in members:
            member.subscribe(f"$share/group/{token}", 1)
        with Client(address) as publisher:
            for number in range(90):
                publisher.publish(token, b"%d" % number, 1)
        wait_until(lambda: sum(m.messages.qsize() for m in members) >= 90, "90 messages")
        got = [[m.next().payload for _ in range(m.messages.qsize())] for m in members]
        assert sorted(sum(got, []), key=int) == [b"%d" % n for n in range(90)]
        assert all(got), [len(part) for part in got]
    finally:
        for member in members:
            member.disconnect()


def test_an_expired_message_is_not_delivered_and_the_interval_counts_down(address, token):
    def session():
        return Client(address, client_id=token, clean=False, expiry=60)

    with session() as client:
        client.subscribe(token, 1)
    with Client(address) as publisher:
        publisher.publish(token, b"short", 1, MessageExpiryInterval=1)
        publisher.publish(token, b"long", 1, MessageExpiryInterval=60)
    let_time_pass(2.1, "the expiry of the first message")
    with session() as client:
        got = client.next()
        assert got.payload == b"long"
        assert 50 <= got.properties.MessageExpiryInterval <= 58


def test_properties_are_forwarded_unchanged(address, token):
    sent = {
        "PayloadFormatIndicator": 1,
        "ContentType": "text/plain; charset=utf-8",
        "ResponseTopic": f"{token}/answer",
        "CorrelationData": bytes(range(256)),
        "UserProperty": [("b", "1"), ("a", "2"), ("b", "3"), ("", "")],
    }
    for qos in (0, 1, 2):
        with Client(address) as client:
            client.subscribe(token, qos)
            client.publish(token, "grüße".encode(), qos, **sent)
            got = client.next()
            assert got.payload == "grüße".encode()
            for name, value in sent.items():
                assert getattr(got.properties, name) == value, name


def test_a_v311_client_receives_what_a_v5_client_sent(address, token):
    with Client(address, V311) as old, Client(address) as new:
        old.subscribe(token, 1)
        new.publish(token, b"body", 1, ContentType="x", UserProperty=[("a", "b")])
        assert old.next().payload == b"body"


def test_payloads_of_all_sizes_arrive_exactly(address, token):
    with Client(address) as client:
        client.subscribe(token, 1)
        for size in (0, 1, 127, 128, 16_383, 16_384, 65_535, 65_536, 1_000_000):
            payload = bytes(n % 251 for n in range(size))
            client.publish(token, payload, 1)
            assert client.next().payload == payload, size


def test_a_publish_without_subscribers_says_so(address, token):
    with Client(address) as client:
        assert client.publish(token, b"x", 1).value == 0x10
        client.subscribe(token, 0)
        assert client.publish(token, b"x", 1).value == 0


def test_a_repeated_qos_2_publish_is_delivered_once(address, token):
    with Client(address, V311) as watcher, Bare(address) as bare:
        watcher.subscribe(token, 2)
        bare.connect(4, f"bare-{token}")
        bare.send(publish_packet(token, b"once", 2, 9, 4))
        assert bare.packet() == (0x50, b"\0\x09")
        bare.send(publish_packet(token, b"once", 2, 9, 4, dup=True))
        assert bare.packet() == (0x50, b"\0\x09")
        bare.send(packet(0x62, b"\0\x09"))
        assert bare.packet() == (0x70, b"\0\x09")
        bare.send(publish_packet(token, b"end", 2, 9, 4))
        assert bare.packet() == (0x50, b"\0\x09")
        bare.send(packet(0x62, b"\0\x09"))
        assert watcher.take(2)[1].payload == b"end"


def test_an_unacknowledged_message_comes_again_after_reconnecting(address, token):
    def bare_session():
        return Bare(address).connect(4, token, flags=0)

    with bare_session() as bare, Client(address) as publisher:
        bare.send(subscribe_packet(token, 1, 1, 4))
        assert bare.packet()[0] == 0x90
        publisher.publish(token, b"x", 1)
        first, body = bare.packet()
        assert first == 0x32, "QoS 1, not a repeat"
    with bare_session() as bare:
        again, same = bare.packet()
        assert again == 0x3A, "QoS 1 with DUP"
        assert same == body, "under the same packet identifier"


def test_a_silent_client_is_disconnected_after_one_and_a_half_keep_alives(address):
    with Bare(address) as bare:
        bare.connect(5, keepalive=1)
        assert bare.packet() == (0xE0, b"\x8d\x00") or bare.packet() is None
    with Bare(address) as bare:
        bare.connect(4, keepalive=1)
        assert bare.packet() is None


def test_pings_are_answered(address):
    with Bare(address) as bare:
        assert bare.connect(5).send(b"\xc0\0").packet() == (0xD0, b"")


MALFORMED = {
    "reserved packet type": b"\x00\x00",
    "second CONNECT": connect_packet(5, "again"),
    "QoS 3": packet(0x36, b"\0\x01a\0\x01\0x"),
    "wildcard in a topic name": publish_packet("a/#", b""),
    "SUBSCRIBE without a filter": packet(0x82, b"\0\x01\0"),
    "SUBSCRIBE with wrong flags": packet(0x80, b"\0\x01\0\0\x01a\0"),
    "filter with # in the middle": subscribe_packet("a/#/b"),
    "packet identifier 0": publish_packet("a", b"", 1, 0),
    "remaining length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "topic that is not UTF-8": packet(0x30, b"\0\x02\xff\xfe\0"),
    "property twice": packet(0x30, b"\0\x01a\x04\x01\x00\x01\x00"),
    "unknown property": packet(0x30, b"\0\x01a\x02\x7f\x00"),
    "property length beyond the packet": packet(0x30, b"\0\x01a\x7f"),
    "empty topic without an alias": publish_packet("", b""),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_packet_ends_the_connection_with_a_reason(address, what):
    with Bare(address) as bare:
        bare.connect(5).send(MALFORMED[what])
        answer = bare.packet()
        if what == "filter with # in the middle" and answer is not None and answer[0] == 0x90:
            assert answer[1][-1] == 0x8F, "refusing the filter alone is right too"
            answer = None
        if answer is not None:
            first, body = answer
            assert first == 0xE0, answer
            assert body[0] in (0x81, 0x82, 0x8F, 0x90, 0x94), hex(body[0])
            assert bare.packet() is None
    with Bare(address) as bare:
        bare.connect(4).send(b"\x00\x00")
        assert bare.packet() is None, "3.1.1 has no DISCONNECT from the server"


def test_malformed_packets_of_v5_get_a_disconnect_packet(ours):
    for what, expected in (("reserved packet type", 0x81), ("second CONNECT", 0x82), ("unknown property", 0x81)):
        with Bare(ours.address("mqtt")) as bare:
            bare.connect(5).send(MALFORMED[what])
            first, body = bare.packet()
            assert (first, body[0]) == (0xE0, expected), what


def test_an_unknown_protocol_version_is_refused(address):
    with Bare(address) as bare:
        bare.send(connect_packet(9))
        answer = bare.packet()
        assert answer is None or answer[1][1] in (0x01, 0x84)
        assert answer is None or bare.packet() is None


def test_a_message_over_the_limit_is_refused_in_v5_terms(ours, token):
    with Client(ours.address("mqtt")) as client:
        limit = client.properties.MaximumPacketSize
        assert limit >= 1024 * 1024
    with Bare(ours.address("mqtt")) as bare:
        bare.connect(5)
        bare.send(packet(0x30, b"\0\x01a\0" + bytes(limit)))
        first, body = bare.packet()
        assert (first, body[0]) == (0xE0, 0x95), "DISCONNECT, packet too large"


def test_the_servers_receive_maximum_is_enforced(ours, token):
    with Bare(ours.address("mqtt")) as bare:
        bare.send(connect_packet(5, token))
        first, body = bare.packet()
        assert first == 0x20
        maximum = struct.unpack("!H", body.split(b"\x21", 1)[1][:2])[0] if b"\x21" in body else 65535
        if maximum < 2000:
            bare.send(b"".join(publish_packet(token, b"", 2, n + 1) for n in range(maximum + 1)))
            answers = []
            while (answer := bare.packet()) is not None:
                answers.append(answer)
            assert answers[-1][0] == 0xE0 and answers[-1][1][0] == 0x93


def test_the_clients_receive_maximum_is_respected(address, token):
    body = b"\0\x04MQTT\x05\x02\0\x3c\x03\x21\0\x02" + struct.pack("!H", len(token)) + token.encode()
    with Bare(address) as bare, Client(address) as publisher:
        bare.send(packet(0x10, body))
        assert bare.packet()[0] == 0x20
        bare.send(subscribe_packet(token, 1))
        assert bare.packet()[0] == 0x90
        for number in range(5):
            publisher.publish(token, b"%d" % number, 1)
        ids = []
        for _ in range(2):
            _, got = bare.packet()
            at = 2 + len(token)
            ids.append(got[at : at + 2])
        bare.send(b"\xc0\0")
        assert bare.packet() == (0xD0, b""), "a third message waits for an acknowledgement"
        bare.send(packet(0x40, ids[0]))
        assert bare.packet()[0] == 0x32


@pytest.mark.parametrize("version", [V311, V5], ids=["3.1.1", "5"])
def test_sessions_subscriptions_and_retained_messages_survive_kill_9(own_server, token, version):
    address = own_server.address("mqtt")
    expiry = 600 if version == V5 else None

    def session():
        return Client(address, version, f"keeper-{token}", False, expiry)

    keeper = session().connect()
    keeper.subscribe(f"{token}/+", 1)
    keeper.subscribe(f"{token}/deep/#", 2)
    keeper.disconnect()
    with Client(address, version) as publisher:
        for number in range(10):
            publisher.publish(f"{token}/a", b"%d" % number, 1)
        publisher.publish(f"{token}/deep/x", b"deep", 2)
        publisher.publish(f"{token}/kept", b"retained", 1, retain=True)
        publisher.publish(f"{token}/cleared", b"x", 1, retain=True)
        publisher.publish(f"{token}/cleared", b"", 1, retain=True)
        own_server.kill_and_restart()
        publisher.paho.loop_stop()
    keeper = session().connect()
    assert keeper.flags.session_present
    got = keeper.take(14)
    assert [m.payload for m in got if m.topic == f"{token}/a"] == [b"%d" % n for n in range(10)]
    assert [(m.payload, m.qos) for m in got if m.topic == f"{token}/deep/x"] == [(b"deep", 2)]
    with Client(address, version) as publisher:
        publisher.publish(f"{token}/b", b"live again", 1)
    assert keeper.next().payload == b"live again", "the subscription survived"
    keeper.disconnect()
    with Client(address, version) as late:
        late.subscribe(f"{token}/#", 1)
        got = late.next()
        assert (got.topic, got.payload, got.retain) == (f"{token}/kept", b"retained", True)
        with pytest.raises(queue.Empty):
            late.publish(f"{token}/end", b"", 1)
            assert late.next().topic == f"{token}/end", "nothing else is retained"
            late.messages.get_nowait()


def test_unfinished_qos_2_exchanges_survive_kill_9(own_server, token):
    address = own_server.address("mqtt")
    with Client(address, V311, f"w-{token}", False) as watcher:
        watcher.subscribe(token, 2)
    with Bare(address) as bare:
        bare.connect(4, f"p-{token}", flags=0)
        bare.send(publish_packet(token, b"once", 2, 7, 4))
        assert bare.packet() == (0x50, b"\0\x07")
        own_server.kill_and_restart()
    with Bare(address) as bare:
        bare.connect(4, f"p-{token}", flags=0)
        bare.send(publish_packet(token, b"once", 2, 7, 4, dup=True))
        assert bare.packet() == (0x50, b"\0\x07")
        bare.send(packet(0x62, b"\0\x07"))
        assert bare.packet() == (0x70, b"\0\x07")
    with Client(address, V311, f"w-{token}", False) as watcher:
        assert watcher.next().payload == b"once"
        watcher.publish(token, b"end", 2)
        assert watcher.next().payload == b"end", "the repeat was not delivered"
