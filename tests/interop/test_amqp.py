"""AMQP 0-9-1 with pika, Node's amqplib and single frames on a bare socket."""

import os
import struct
import subprocess
from pathlib import Path

import pika
import pika.exceptions
import pytest

from harness.amqp import Bare, Consumer, connect, frame, method, short
from harness.kafka import cache
from harness.waiting import let_time_pass, wait_until

PROTOCOL = "amqp"
PERSISTENT = pika.BasicProperties(delivery_mode=2)


@pytest.fixture
def address(server):
    return server.address("amqp")


@pytest.fixture
def connection(address):
    opened = connect(address)
    yield opened
    if opened.is_open:
        opened.close()


@pytest.fixture
def channel(connection):
    return connection.channel()


def private_queue(channel, **arguments):
    return channel.queue_declare("", exclusive=True, **arguments).method.queue


def drain(channel, queue):
    """All ready messages of a queue, acknowledged."""
    got = []
    while True:
        found, properties, body = channel.basic_get(queue, auto_ack=True)
        if found is None:
            return got
        got.append((found, properties, body))


def bodies(channel, queue):
    return [body for _, _, body in drain(channel, queue)]


def channel_error(connection, act):
    """(code, text) with which the server closes the channel on which `act` acts."""
    channel = connection.channel()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        act(channel)
        # What is asynchronous fails by the time of a synchronous answer.
        channel.queue_declare("", exclusive=True)
    return caught.value.reply_code, caught.value.reply_text


NODE = {
    "confirms": "in order",
    "headers": '["text/plain","c","r","m","t","a",3,1600000000,'
    '{"text":"v","number":7,"flag":true,"list":[1,"a"],"table":{"k":"v"}}]',
    "routing": "a.b.c,z,x.y.z",
    "returned": "return 312 NO_ROUTE, ack",
    "prefetch": "3 then 6",
    "requeue": "0* 1* 2 3",
    "missing": "404 Operation failed: QueueDeclare; 404 (NOT-FOUND) with message "
    "\"NOT_FOUND - no queue 'surely-not-there' in vhost '/'\"",
}


@pytest.mark.parametrize("scenario", NODE)
def test_the_node_client_works(address, scenario):
    done = subprocess.run(
        ["node", Path(__file__).parent / "clients/node/amqp.js", f"amqp://guest:guest@{address[0]}:{address[1]}", scenario],
        env=os.environ | {"NODE_PATH": str(cache() / "npm/node_modules")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == NODE[scenario]


def test_the_default_exchange_routes_by_queue_name(channel):
    queue = private_queue(channel)
    channel.basic_publish("", queue, b"x")
    found, _, body = next(iter(drain(channel, queue)))
    assert (found.exchange, found.routing_key, body) == ("", queue, b"x")


@pytest.mark.parametrize("exchange", [None, "amq.direct"], ids=["own", "predeclared"])
def test_a_direct_exchange_compares_the_key(channel, token, exchange):
    if exchange is None:
        exchange = token
        channel.exchange_declare(exchange, "direct", auto_delete=True)
    queue = private_queue(channel)
    channel.queue_bind(queue, exchange, f"{token}.red")
    channel.queue_bind(queue, exchange, f"{token}.*")
    for key in ("red", "blue", "red.x", "*"):
        channel.basic_publish(exchange, f"{token}.{key}", key.encode())
    assert bodies(channel, queue) == [b"red", b"*"], "a * is only a letter here"


@pytest.mark.parametrize("exchange", [None, "amq.fanout"], ids=["own", "predeclared"])
def test_a_fanout_exchange_ignores_the_key(channel, token, exchange):
    if exchange is None:
        exchange = token
        channel.exchange_declare(exchange, "fanout", auto_delete=True)
    queues = [private_queue(channel) for _ in range(3)]
    for queue in queues:
        channel.queue_bind(queue, exchange)
    for key in ("", "a", "a.b"):
        channel.basic_publish(exchange, key, key.encode())
    for queue in queues:
        assert bodies(channel, queue) == [b"", b"a", b"a.b"]


@pytest.mark.parametrize("exchange", [None, "amq.topic"], ids=["own", "predeclared"])
def test_a_topic_exchange_matches_words(channel, token, exchange):
    if exchange is None:
        exchange = token
        channel.exchange_declare(exchange, "topic", auto_delete=True)
    cases = {
        f"{token}.*": ["a", "b"],
        f"{token}.#": ["", "a", "b", "a.b", "a.b.c"],
        f"{token}.#.b": ["b", "a.b"],
        f"{token}.*.b": ["a.b"],
        f"{token}.a.#.c": ["a.b.c"],
        f"{token}.a.b": ["a.b"],
    }
    queues = {}
    for pattern in cases:
        queues[pattern] = private_queue(channel)
        channel.queue_bind(queues[pattern], exchange, pattern)
    for name in ("", "a", "b", "a.b", "a.b.c"):
        channel.basic_publish(exchange, f"{token}.{name}" if name else token, name.encode())
    for pattern, expected in cases.items():
        assert [body.decode() for body in bodies(channel, queues[pattern])] == expected, pattern


@pytest.mark.parametrize("exchange", [None, "amq.headers", "amq.match"], ids=["own", "predeclared", "match"])
def test_a_headers_exchange_matches_headers(channel, token, exchange):
    if exchange is None:
        exchange = token
        channel.exchange_declare(exchange, "headers", auto_delete=True)
    every, some = private_queue(channel), private_queue(channel)
    channel.queue_bind(every, exchange, arguments={"x-match": "all", "run": token, "n": 1})
    channel.queue_bind(some, exchange, arguments={"x-match": "any", f"a-{token}": "1", f"b-{token}": "2"})
    messages = {
        b"all": {"run": token, "n": 1, "more": "x"},
        b"half": {"run": token},
        b"other": {"run": token, "n": 2},
        b"text": {"run": token, "n": "1"},
        b"any": {f"b-{token}": "2"},
        b"none": None,
    }
    for body, headers in messages.items():
        channel.basic_publish(exchange, "ignored", body, pika.BasicProperties(headers=headers))
    assert bodies(channel, every) == [b"all"]
    assert bodies(channel, some) == [b"any"]


def test_a_queue_gets_one_copy_however_many_bindings_match(channel, token):
    queue = private_queue(channel)
    for pattern in (token, f"{token}.#", "#", f"{token}.*"):
        channel.queue_bind(queue, "amq.topic", pattern)
    channel.basic_publish("amq.topic", token, b"x")
    assert bodies(channel, queue) == [b"x"]
    for pattern in (token, f"{token}.#", "#", f"{token}.*"):
        channel.queue_unbind(queue, "amq.topic", pattern)
    channel.basic_publish("amq.topic", token, b"x")
    assert bodies(channel, queue) == []


def test_exchanges_are_bound_to_exchanges(channel, token):
    for name in ("one", "two"):
        channel.exchange_declare(f"{token}-{name}", "fanout", auto_delete=False)
    channel.exchange_bind(f"{token}-two", f"{token}-one")
    channel.exchange_bind(f"{token}-one", f"{token}-two")
    queue = private_queue(channel)
    channel.queue_bind(queue, f"{token}-two")
    channel.basic_publish(f"{token}-one", "", b"x")
    assert bodies(channel, queue) == [b"x"], "a circle ends"
    channel.exchange_unbind(f"{token}-two", f"{token}-one")
    channel.basic_publish(f"{token}-one", "", b"x")
    assert bodies(channel, queue) == []
    for name in ("one", "two"):
        channel.exchange_delete(f"{token}-{name}")


def test_confirms_come_for_each_publish(channel, token):
    channel.confirm_delivery()
    queue = private_queue(channel)
    for number in range(50):
        # Raises when it is nacked or, being mandatory, returned.
        channel.basic_publish("", queue, b"%d" % number, PERSISTENT, mandatory=True)
    assert bodies(channel, queue) == [b"%d" % n for n in range(50)]
    with pytest.raises(pika.exceptions.UnroutableError) as caught:
        channel.basic_publish("amq.direct", token, b"lost", mandatory=True)
    returned = caught.value.messages[0]
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert (returned.method.exchange, returned.method.routing_key) == ("amq.direct", token)
    assert returned.body == b"lost"
    channel.basic_publish("amq.direct", token, b"not mandatory: gone without a word")


def test_all_properties_arrive_unchanged(channel):
    queue = private_queue(channel)
    sent = pika.BasicProperties(
        content_type="application/json",
        content_encoding="gzip",
        headers={"s": "text", "i": 7, "l": 1 << 40, "t": True, "n": None, "list": [1, "a"], "table": {"k": "v"}},
        delivery_mode=1,
        priority=9,
        correlation_id="c" * 255,
        reply_to="answers",
        expiration="60000",
        message_id="m",
        timestamp=1_600_000_000,
        type="t",
        user_id="guest",
        app_id="a",
    )
    channel.basic_publish("", queue, b"\x00\xff", sent)
    _, got, body = drain(channel, queue)[0]
    assert body == b"\x00\xff"
    for name in ("content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id"):
        assert getattr(got, name) == getattr(sent, name), name
    for name in ("reply_to", "message_id", "timestamp", "type", "user_id", "app_id"):
        assert getattr(got, name) == getattr(sent, name), name
    assert 0 < int(got.expiration) <= 60_000


def test_prefetch_bounds_what_is_unsettled(channel):
    queue = private_queue(channel)
    for number in range(10):
        channel.basic_publish("", queue, b"%d" % number)
    channel.basic_qos(prefetch_count=3)
    consumer = Consumer(channel, queue)
    first = consumer.take(3)
    assert channel.queue_declare(queue, passive=True).method.message_count == 7
    assert not consumer.got
    channel.basic_ack(first[1][0].delivery_tag, multiple=True)
    assert [body for _, _, body in consumer.take(2)] == [b"3", b"4"]
    channel.queue_declare(queue, passive=True)
    assert not consumer.got, "one is still unsettled"


def test_consumers_share_a_queue_round_robin(channel):
    queue = private_queue(channel)
    channel.basic_qos(prefetch_count=1)
    consumers = [Consumer(channel, queue) for _ in range(2)]
    for number in range(10):
        channel.basic_publish("", queue, b"%d" % number)
    got = [[], []]

    def done():
        channel.connection.process_data_events(0.01)
        for number, consumer in enumerate(consumers):
            while consumer.got:
                message, _, body = consumer.got.pop(0)
                got[number].append(int(body))
                channel.basic_ack(message.delivery_tag)
        return len(got[0]) + len(got[1]) == 10

    wait_until(done, "ten messages")
    assert sorted(got[0] + got[1]) == list(range(10))
    assert len(got[0]) >= 3 and len(got[1]) >= 3, got


def test_requeued_messages_return_to_their_place_and_say_so(channel):
    queue = private_queue(channel)
    for number in range(6):
        channel.basic_publish("", queue, b"%d" % number)
    held = [channel.basic_get(queue)[0] for _ in range(3)]
    assert [m.redelivered for m in held] == [False] * 3
    channel.basic_nack(held[1].delivery_tag, requeue=True)
    channel.basic_reject(held[0].delivery_tag, requeue=True)
    channel.basic_nack(held[2].delivery_tag, requeue=True)
    got = drain(channel, queue)
    assert [int(body) for _, _, body in got] == [0, 1, 2, 3, 4, 5]
    assert [m.redelivered for m, _, _ in got] == [True, True, True, False, False, False]


def test_rejected_messages_without_requeue_are_gone(channel):
    queue = private_queue(channel)
    for number in range(4):
        channel.basic_publish("", queue, b"%d" % number)
    held = [channel.basic_get(queue)[0] for _ in range(3)]
    channel.basic_reject(held[0].delivery_tag, requeue=False)
    channel.basic_nack(held[2].delivery_tag, multiple=True, requeue=False)
    assert bodies(channel, queue) == [b"3"]


def test_a_closed_channel_gives_back_what_was_unsettled(connection, channel):
    queue = private_queue(channel)
    for number in range(5):
        channel.basic_publish("", queue, b"%d" % number)
    other = connection.channel()
    consumer = Consumer(other, queue)
    assert len(consumer.take(5)) == 5
    other.close()
    got = drain(channel, queue)
    assert [int(body) for _, _, body in got] == list(range(5))
    assert all(m.redelivered for m, _, _ in got)


def test_a_broken_connection_gives_back_what_was_unsettled(address, channel, token):
    channel.queue_declare(token, durable=True)
    channel.basic_publish("", token, b"x", PERSISTENT)
    other = connect(address)
    consumer = Consumer(other.channel(), token)
    consumer.next()
    other._impl._transport._sock.close() if hasattr(other._impl, "_transport") else other.close()

    def back():
        found, _, body = channel.basic_get(token, auto_ack=True)
        return found is not None and found.redelivered and body == b"x"

    wait_until(back, "the message is back")
    channel.queue_delete(token)


def test_get_tells_how_many_are_left(channel):
    queue = private_queue(channel)
    assert channel.basic_get(queue)[0] is None
    for _ in range(3):
        channel.basic_publish("", queue, b"x")
    assert channel.basic_get(queue)[0].message_count == 2
    assert channel.queue_purge(queue).method.message_count == 2
    assert channel.queue_delete(queue).method.message_count == 0


def test_exclusive_queues_belong_to_their_connection(address, connection, channel, token):
    channel.queue_declare(token, exclusive=True)
    other = connect(address)
    code, text = channel_error(other, lambda c: c.queue_declare(token, passive=True))
    assert code == 405
    assert text.startswith(f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{token}' in vhost '/'")
    connection.close()

    def gone():
        code, text = channel_error(other, lambda c: c.queue_declare(token, passive=True))
        return code == 404 and text == f"NOT_FOUND - no queue '{token}' in vhost '/'"

    wait_until(gone, "the queue died with its connection")
    other.close()


def test_auto_delete_queues_go_with_their_last_consumer(connection, channel, token):
    channel.queue_declare(token, auto_delete=True)
    one, two = Consumer(channel, token), Consumer(channel, token)
    channel.basic_cancel(one.tag)
    assert channel.queue_declare(token, passive=True).method.consumer_count == 1
    channel.basic_cancel(two.tag)

    def gone():
        try:
            connection.channel().queue_declare(token, passive=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            return error.reply_code == 404
        return False

    wait_until(gone, "the queue is gone")


def test_the_server_names_queues(channel):
    one, two = private_queue(channel), private_queue(channel)
    assert one.startswith("amq.gen-") and two.startswith("amq.gen-") and one != two
    # "" is the queue that the channel declared last.
    channel.queue_bind("", "amq.direct", two)
    channel.basic_publish("amq.direct", two, b"x")
    assert bodies(channel, two) == [b"x"]


def test_a_deleted_queue_cancels_its_consumers(connection, channel, token):
    cancelled = []
    consuming = connection.channel()
    consuming.queue_declare(token)
    consuming.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    consumer = Consumer(consuming, token)
    channel.queue_delete(token)

    def told():
        connection.process_data_events(0.01)
        return cancelled == [consumer.tag]

    wait_until(told, "basic.cancel arrives")


def test_an_expired_message_is_not_delivered(channel):
    queue = private_queue(channel)
    channel.basic_publish("", queue, b"short", pika.BasicProperties(expiration="200"))
    channel.basic_publish("", queue, b"long", pika.BasicProperties(expiration="60000"))
    let_time_pass(0.5, "the expiration of the first message")
    assert bodies(channel, queue) == [b"long"]


CHANNEL_ERRORS = {
    "missing queue": (
        lambda c, t: c.queue_declare(t, passive=True),
        404,
        "NOT_FOUND - no queue '{t}' in vhost '/'",
    ),
    "missing exchange": (
        lambda c, t: c.exchange_declare(t, passive=True),
        404,
        "NOT_FOUND - no exchange '{t}' in vhost '/'",
    ),
    "publish to a missing exchange": (
        lambda c, t: c.basic_publish(t, "x", b""),
        404,
        "NOT_FOUND - no exchange '{t}' in vhost '/'",
    ),
    "bind a missing queue": (
        lambda c, t: c.queue_bind(t, "amq.topic", "x"),
        404,
        "NOT_FOUND - no queue '{t}' in vhost '/'",
    ),
    "consume from a missing queue": (
        lambda c, t: c.basic_consume(t, lambda *_: None),
        404,
        "NOT_FOUND - no queue '{t}' in vhost '/'",
    ),
    "reserved queue name": (
        lambda c, t: c.queue_declare("amq.foo"),
        403,
        "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'",
    ),
    "reserved exchange name": (
        lambda c, t: c.exchange_declare("amq.foo", "direct"),
        403,
        "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
    ),
    "delete a predeclared exchange": (
        lambda c, t: c.exchange_delete("amq.topic"),
        403,
        "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
    ),
    "bind to the default exchange": (
        lambda c, t: c.queue_bind(private_queue(c), "", "x"),
        403,
        "ACCESS_REFUSED - operation not permitted on the default exchange",
    ),
    "unknown delivery tag": (
        lambda c, t: c.basic_ack(99),
        406,
        "PRECONDITION_FAILED - unknown delivery tag 99",
    ),
    "exchange of another type": (
        lambda c, t: c.exchange_declare("amq.topic", "fanout", durable=True),
        406,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.topic' in vhost '/': "
        "received 'fanout' but current is 'topic'",
    ),
}


@pytest.mark.parametrize("what", CHANNEL_ERRORS)
def test_a_channel_error_has_rabbitmqs_code_and_text(connection, token, what):
    act, code, text = CHANNEL_ERRORS[what]
    got = channel_error(connection, lambda channel: act(channel, token))
    assert got == (code, text.format(t=token))
    assert connection.channel().is_open, "the connection lives on"


def test_a_queue_declared_otherwise_is_refused(connection, channel, token):
    channel.queue_declare(token, durable=True)
    got = channel_error(connection, lambda c: c.queue_declare(token, durable=False))
    assert got == (
        406,
        f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{token}' in vhost '/': "
        "received 'false' but current is 'true'",
    )
    got = channel_error(connection, lambda c: c.queue_delete(token, if_empty=True) if fill(c, token) else None)
    assert got == (406, f"PRECONDITION_FAILED - queue '{token}' in vhost '/' not empty")
    channel.queue_delete(token)


def fill(channel, queue):
    channel.basic_publish("", queue, b"x")
    return wait_until(lambda: channel.queue_declare(queue, passive=True).method.message_count == 1, "one message")


def test_an_exclusive_consumer_keeps_others_out(connection, channel, token):
    channel.queue_declare(token, exclusive=True)
    Consumer(channel, token, exclusive=True)
    got = channel_error(connection, lambda c: c.basic_consume(token, lambda *_: None))
    assert got == (403, f"ACCESS_REFUSED - queue '{token}' in vhost '/' in exclusive use")


def test_connection_errors_have_rabbitmqs_codes(address):
    with Bare(address) as bare:
        bare.handshake().open_channel().send(method(1, 20, 10, short("")))
        assert bare.closed_with() == (504, "CHANNEL_ERROR - second 'channel.open' seen")
    with Bare(address) as bare:
        bare.handshake().send(method(7, 60, 10, struct.pack(">IHB", 0, 1, 0)))
        code, text = bare.closed_with()
        assert code == 504 and text.startswith("CHANNEL_ERROR - expected 'channel.open'"), text
    with Bare(address) as bare:
        bare.handshake().open_channel().send(method(1, 60, 10, struct.pack(">IHB", 9, 1, 0)))
        code, text = bare.closed_with()
        assert (code, text) == (540, "NOT_IMPLEMENTED - prefetch_size!=0 (9)")
    with Bare(address) as bare:
        bare.handshake().open_channel().send(frame(3, 1, b"a body without a header"))
        code, text = bare.closed_with()
        assert code == 505 and text.startswith("UNEXPECTED_FRAME - "), text
    with Bare(address) as bare:
        bare.handshake().send(frame(1, 0, b"\0\x0a\0\x28")[:-1] + b"\x00")
        code, text = bare.closed_with()
        assert code == 501 and text.startswith("FRAME_ERROR - "), text
    with Bare(address) as bare:
        bare.handshake().open_channel().send(struct.pack(">BHI", 1, 1, 1 << 20))
        code, text = bare.closed_with()
        assert code == 501 and text.startswith("FRAME_ERROR - "), text
    with Bare(address) as bare:
        bare.handshake().send(frame(8, 1, b""))
        code, text = bare.closed_with()
        assert code == 505 and text.startswith("UNEXPECTED_FRAME - "), text


def test_an_unknown_method_ends_the_connection(ours):
    with Bare(ours.address("amqp")) as bare:
        bare.handshake().open_channel().send(method(1, 999, 999, b""))
        code, text = bare.closed_with()
        assert code in (502, 503, 540), (code, text)


def test_a_missing_virtual_host_is_refused(address):
    with pytest.raises(pika.exceptions.AMQPConnectionError) as caught:
        connect(address, vhost="nowhere")
    reason = caught.value if not caught.value.args else caught.value.args[0]
    while hasattr(reason, "exception"):
        reason = reason.exception
    assert "530" in repr(reason) and "NOT_ALLOWED - vhost nowhere not found" in repr(reason), repr(reason)


def test_another_protocol_version_is_told_which_one_is_spoken(address):
    for header in (b"AMQP\x00\x00\x08\x00", b"GET / HT"):
        with Bare(address, header) as bare:
            assert bare.receive(8) == b"AMQP\x00\x00\x09\x01"
            assert bare.frame() is None


def test_heartbeats_are_sent_and_missed_ones_end_the_connection(address):
    with Bare(address) as bare:
        assert bare.method()[:2] == (10, 10)
        answer = b"\0guest\0guest"
        bare.send(method(0, 10, 11, struct.pack(">I", 0) + short("PLAIN") + struct.pack(">I", len(answer)) + answer + short("en_US")))
        tune = bare.method()[2]
        bare.send(method(0, 10, 31, tune[:6] + struct.pack(">H", 1)))
        bare.send(method(0, 10, 40, short("/") + short("") + b"\0"))
        assert bare.method()[:2] == (10, 41)
        assert bare.frame() == (8, 0, b""), "a heartbeat"
        while (got := bare.frame()) is not None:
            assert got[0] in (1, 8), got


def test_large_bodies_are_split_into_frames_and_arrive_exactly(address):
    for frame_max in (8_192, 131_072):
        connection = connect(address, frame_max=frame_max)
        channel = connection.channel()
        queue = private_queue(channel)
        for size in (0, 1, frame_max - 8, frame_max - 7, frame_max, 1_000_000):
            body = bytes(n % 251 for n in range(size))
            channel.basic_publish("", queue, body)
            assert bodies(channel, queue) == [body], size
        connection.close()


def test_a_message_over_the_limit_is_refused(ours):
    connection = connect(ours.address("amqp"))
    code, text = channel_error(connection, lambda c: c.basic_publish("", "x", b"x" * 1_100_000))
    assert code == 406 and text.startswith("PRECONDITION_FAILED - message size"), text
    assert connection.channel().is_open
    connection.close()


def test_confirmed_messages_and_durable_objects_survive_kill_9(own_server, token):
    address = own_server.address("amqp")
    connection = connect(address)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare(f"{token}-x", "topic", durable=True)
    channel.queue_declare(f"{token}-q", durable=True)
    channel.queue_declare(f"{token}-gone", durable=False)
    channel.queue_bind(f"{token}-q", f"{token}-x", "a.#")
    for number in range(20):
        channel.basic_publish(f"{token}-x", f"a.{number}", b"%d" % number, PERSISTENT, mandatory=True)
    channel.basic_publish("", f"{token}-q", b"transient", pika.BasicProperties(delivery_mode=1))
    first = channel.basic_get(f"{token}-q")[0]
    channel.basic_ack(first.delivery_tag)
    unsettled = channel.basic_get(f"{token}-q")[0]
    assert unsettled.message_count == 19
    # The acknowledgement is on its way; a confirm of a later message follows it.
    channel.basic_publish("", f"{token}-q", b"last", PERSISTENT)
    own_server.kill_and_restart()
    connection = connect(address)
    channel = connection.channel()
    got = drain(channel, f"{token}-q")
    values = [body for _, _, body in got]
    assert values[-1] == b"last" and b"transient" not in values
    numbers = [int(body) for body in values[:-1]]
    # An ack is not confirmed to anybody, so its message may come once more.
    assert numbers in (list(range(20)), list(range(1, 20)))
    assert got[values.index(b"1")][0].redelivered
    channel.basic_publish(f"{token}-x", "a.b", b"bound", PERSISTENT)
    assert bodies(channel, f"{token}-q") == [b"bound"]
    code, _ = channel_error(connection, lambda c: c.queue_declare(f"{token}-gone", passive=True))
    assert code == 404, "what is not durable died with the run"
    connection.close()


def test_settled_messages_stay_settled_after_kill_9(own_server, token):
    address = own_server.address("amqp")
    channel = connect(address).channel()
    channel.confirm_delivery()
    channel.queue_declare(token, durable=True)
    for number in range(10):
        channel.basic_publish("", token, b"%d" % number, PERSISTENT)
    for _ in range(5):
        channel.basic_ack(channel.basic_get(token)[0].delivery_tag)
    # Later durable work on the same channel has reached the disk with them.
    for number in range(10, 12):
        channel.basic_publish("", token, b"%d" % number, PERSISTENT)
    channel.queue_declare(token, passive=True)
    let_time_pass(0.5, "acknowledgements are written in the background")
    own_server.kill_and_restart()
    channel = connect(address).channel()
    assert [int(body) for body in bodies(channel, token)] == list(range(5, 12))
