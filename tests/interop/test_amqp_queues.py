"""What AMQP queues do besides handing out: limits, time, dead letters, priorities; over kill -9 too.

Those that need no server of their own run against RabbitMQ as well (reference.sh).
"""

import pika
import pika.exceptions
import pytest

from harness.amqp import Consumer, connect
from harness.waiting import let_time_pass, wait_until

PROTOCOL = "amqp"
LASTING = pika.BasicProperties(delivery_mode=2)


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


def declare(channel, name, durable=False, **arguments):
    """`x_message_ttl=5` is x-message-ttl; exclusive unless durable."""
    arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
    channel.queue_declare(name, durable=durable, exclusive=not durable, arguments=arguments)
    return name


def send(channel, queue, body, **properties):
    """Publishes with a confirm, so that the queue has it."""
    channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2, **properties))


def ready(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count


def take(channel, queue):
    """The next message: method, properties, body. It must come."""

    def found():
        got = channel.basic_get(queue)
        return got if got[0] else None

    return wait_until(found, f"a message in {queue}")


def drain(channel, queue):
    bodies = []
    while True:
        found, _, body = channel.basic_get(queue, auto_ack=True)
        if found is None:
            return bodies
        bodies.append(body)


def deaths(properties):
    return [(death["queue"], death["reason"], death["count"]) for death in properties.headers["x-death"]]


@pytest.fixture
def confirmed(channel):
    channel.confirm_delivery()
    return channel


def test_deliveries_are_counted_and_limited(confirmed, token):
    dead = declare(confirmed, f"{token}-dead")
    queue = declare(
        confirmed,
        token,
        durable=True,
        x_queue_type="quorum",
        x_delivery_limit=2,
        x_dead_letter_exchange="",
        x_dead_letter_routing_key=dead,
    )
    send(confirmed, queue, b"x", headers={"mine": 1}, priority=3)
    for count in range(3):
        method, properties, _ = take(confirmed, queue)
        assert properties.headers == {"mine": 1, "x-delivery-count": count}
        assert method.redelivered == (count > 0)
        confirmed.basic_nack(method.delivery_tag, requeue=True)
    method, properties, body = take(confirmed, dead)
    assert (body, method.redelivered, properties.priority) == (b"x", False, 3)
    assert deaths(properties) == [(queue, "delivery_limit", 1)]
    confirmed.queue_delete(queue)


def test_a_dead_letter_tells_its_history(confirmed, token):
    retry = f"{token}-retry"
    work = declare(confirmed, f"{token}-work", x_dead_letter_exchange="", x_dead_letter_routing_key=retry)
    declare(confirmed, retry, x_message_ttl=50, x_dead_letter_exchange="", x_dead_letter_routing_key=work)
    confirmed.queue_bind(work, "amq.direct", f"{token}-key")
    properties = pika.BasicProperties(expiration="60000", message_id="m", headers={"mine": 1})
    confirmed.basic_publish("amq.direct", f"{token}-key", b"x", properties)
    for count in (1, 2):
        method, _, _ = take(confirmed, work)
        confirmed.basic_reject(method.delivery_tag, requeue=False)
    method, properties, _ = take(confirmed, work)
    assert (method.exchange, method.routing_key, method.redelivered) == ("", work, False)
    assert (properties.message_id, properties.expiration) == ("m", None)
    headers = properties.headers
    assert headers["mine"] == 1
    assert deaths(properties) == [(retry, "expired", 2), (work, "rejected", 2)]
    newest, oldest = headers["x-death"]
    assert (oldest["exchange"], oldest["routing-keys"]) == ("amq.direct", [f"{token}-key"])
    assert oldest["original-expiration"] == "60000" and "original-expiration" not in newest
    assert oldest["time"] <= newest["time"]
    first = [headers[f"x-first-death-{what}"] for what in ("exchange", "queue", "reason")]
    assert first == ["amq.direct", work, "rejected"]


def test_dead_letters_go_through_exchanges_of_all_types(confirmed, token):
    exchanges = {kind: f"{token}-{kind}" for kind in ("fanout", "direct", "topic", "headers")}
    for kind, exchange in exchanges.items():
        confirmed.exchange_declare(exchange, kind, auto_delete=False)
        dead = declare(confirmed, f"{token}-{kind}-dead")
        arguments = {"x-match": "all", "kind": "a", "n": 1} if kind == "headers" else None
        key = {"topic": "*.key"}.get(kind, "own.key")
        confirmed.queue_bind(dead, exchange, key, arguments)
        queue = declare(confirmed, f"{token}-{kind}-queue", x_dead_letter_exchange=exchange)
        confirmed.queue_bind(queue, "amq.direct", f"{token}-{kind}")
        confirmed.queue_bind(queue, "amq.topic", "own.key")
    confirmed.basic_publish("amq.topic", "own.key", b"x", pika.BasicProperties(headers={"kind": "a", "n": 1}))
    for kind, exchange in exchanges.items():
        method, _, _ = take(confirmed, f"{token}-{kind}-queue")
        confirmed.basic_reject(method.delivery_tag, requeue=False)
        method, _, body = take(confirmed, f"{token}-{kind}-dead")
        assert (method.exchange, method.routing_key, body) == (exchange, "own.key", b"x")
        confirmed.exchange_delete(exchange)


def test_a_missing_dead_letter_exchange_drops_the_message(confirmed, token):
    queue = declare(confirmed, token, x_dead_letter_exchange=f"{token}-nowhere")
    send(confirmed, queue, b"x")
    confirmed.basic_reject(take(confirmed, queue)[0].delivery_tag, requeue=False)
    assert ready(confirmed, queue) == 0


def test_a_message_that_goes_round_by_itself_is_dropped(confirmed, token):
    declare(confirmed, f"{token}-b", x_message_ttl=20, x_dead_letter_exchange="", x_dead_letter_routing_key=f"{token}-a")
    declare(confirmed, f"{token}-a", x_message_ttl=20, x_dead_letter_exchange="", x_dead_letter_routing_key=f"{token}-b")
    seen = declare(confirmed, f"{token}-seen")
    send(confirmed, f"{token}-a", b"x")
    let_time_pass(0.3, "several rounds")
    assert [ready(confirmed, queue) for queue in (f"{token}-a", f"{token}-b", seen)] == [0, 0, 0]


def test_messages_expire_by_queue_and_by_their_own_time(confirmed, token):
    dead = declare(confirmed, f"{token}-dead")
    queue = declare(confirmed, token, x_message_ttl=300, x_dead_letter_exchange="", x_dead_letter_routing_key=dead)
    send(confirmed, queue, b"own", expiration="50")
    send(confirmed, queue, b"queue")
    assert ready(confirmed, queue) == 2
    assert take(confirmed, dead)[2] == b"own"
    assert ready(confirmed, queue) == 1, "the other one has more time"
    assert take(confirmed, dead)[2] == b"queue"
    assert ready(confirmed, queue) == 0


def test_a_time_of_zero_is_for_a_consumer_that_waits(confirmed, token):
    queue = declare(confirmed, token, x_message_ttl=0)
    send(confirmed, queue, b"nobody")
    assert ready(confirmed, queue) == 0
    consumer = Consumer(confirmed, queue, auto_ack=True)
    send(confirmed, queue, b"somebody", expiration="0")
    assert consumer.next()[2] == b"somebody"


def test_a_queue_that_nobody_uses_goes(connection, channel, token):
    channel.queue_declare(token, arguments={"x-expires": 400})
    for _ in range(3):
        let_time_pass(0.25, "less than the queue's time")
        channel.queue_declare(token, passive=True)
    let_time_pass(0.8, "the queue's time without use")
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        channel.queue_declare(token, passive=True)
    assert caught.value.reply_code == 404


LENGTHS = {
    "messages": (dict(x_max_length=2), ["ack"] * 4, [b"cc", b"dddddddd"]),
    "messages refused": (dict(x_max_length=2, x_overflow="reject-publish"), ["ack", "ack", "nack", "nack"], [b"aa", b"bb"]),
    "bytes": (dict(x_max_length_bytes=5), ["ack"] * 4, []),
    "bytes refused": (
        dict(x_max_length_bytes=5, x_overflow="reject-publish"),
        ["ack", "ack", "nack", "nack"],
        [b"aa", b"bb"],
    ),
    "none": (dict(x_max_length=0), ["ack"] * 4, []),
    "none refused": (dict(x_max_length=0, x_overflow="reject-publish"), ["nack"] * 4, []),
}


@pytest.mark.parametrize("what", LENGTHS)
def test_the_length_of_a_queue_is_limited(confirmed, token, what):
    arguments, expected, left = LENGTHS[what]
    queue = declare(confirmed, token, **arguments)
    confirms = []
    for body in (b"aa", b"bb", b"cc", b"dddddddd"):
        try:
            send(confirmed, queue, body)
            confirms.append("ack")
        except pika.exceptions.NackError:
            confirms.append("nack")
    assert (confirms, drain(confirmed, queue)) == (expected, left)


@pytest.mark.parametrize("overflow", ["drop-head", "reject-publish-dlx"])
def test_what_is_over_the_length_is_dead_lettered(confirmed, token, overflow):
    dead = declare(confirmed, f"{token}-dead")
    queue = declare(
        confirmed, token, x_max_length=1, x_overflow=overflow, x_dead_letter_exchange="", x_dead_letter_routing_key=dead
    )
    send(confirmed, queue, b"first")
    if overflow == "drop-head":
        send(confirmed, queue, b"second")
    else:
        with pytest.raises(pika.exceptions.NackError):
            send(confirmed, queue, b"second")
    _, properties, body = take(confirmed, dead)
    assert deaths(properties) == [(queue, "maxlen", 1)]
    over, stays = (b"first", b"second") if overflow == "drop-head" else (b"second", b"first")
    assert (body, drain(confirmed, queue)) == (over, [stays])


def test_one_full_queue_refuses_for_all_and_the_others_keep_it(confirmed, token):
    full = declare(confirmed, f"{token}-full", x_max_length=0, x_overflow="reject-publish")
    other = declare(confirmed, f"{token}-other")
    for queue in (full, other):
        confirmed.queue_bind(queue, "amq.direct", token)
    with pytest.raises(pika.exceptions.NackError):
        confirmed.basic_publish("amq.direct", token, b"x")
    assert drain(confirmed, other) == [b"x"]


def test_higher_priorities_come_first(confirmed, token):
    queue = declare(confirmed, token, x_max_priority=5)
    for priority in (None, 0, 1, 5, 9, 3):
        send(confirmed, queue, str(priority).encode(), priority=priority)
    assert drain(confirmed, queue) == [b"5", b"9", b"3", b"1", b"None", b"0"]


def test_one_consumer_is_active_until_it_goes(address, confirmed, token):
    queue = declare(confirmed, token, durable=True, x_single_active_consumer=True)
    connections = [connect(address) for _ in range(2)]
    consumers = [Consumer(opened.channel(), queue) for opened in connections]
    for number in range(3):
        send(confirmed, queue, b"%d" % number)
    assert [body for _, _, body in consumers[0].take(3)] == [b"0", b"1", b"2"]
    connections[1].process_data_events(0.1)
    assert consumers[1].got == []
    connections[0].close()
    got = consumers[1].take(3)
    assert [(body, method.redelivered) for method, _, body in got] == [(b"%d" % n, True) for n in range(3)]
    connections[1].close()
    confirmed.queue_delete(queue)


DIFFERENCES = {
    "missing": (dict(x_message_ttl=5000), {}, "received none but current is the value '5000' of type 'signedint'"),
    "more": ({}, dict(x_message_ttl=5000), "received the value '5000' of type 'signedint' but current is none"),
    "other": (dict(x_max_length=5), dict(x_max_length=6), "received '6' but current is '5'"),
    "text": (dict(x_dead_letter_exchange="a"), dict(x_dead_letter_exchange="b"), "received 'b' but current is 'a'"),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_queue_with_other_arguments_is_refused(connection, channel, token, what):
    stands, wanted, text = DIFFERENCES[what]
    declare(channel, token, **stands)
    declare(channel, token, **stands)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        declare(connection.channel(), token, **wanted)
    argument = next(iter(wanted or stands)).replace("_", "-")
    assert (caught.value.reply_code, caught.value.reply_text) == (
        406,
        f"PRECONDITION_FAILED - inequivalent arg '{argument}' for queue '{token}' in vhost '/': {text}",
    )


# Over kill -9, with a server of its own.


def again(own_server):
    own_server.kill_and_restart()
    channel = connect(own_server.address("amqp")).channel()
    channel.confirm_delivery()
    return channel


@pytest.fixture
def own_channel(own_server):
    channel = connect(own_server.address("amqp")).channel()
    channel.confirm_delivery()
    return channel


def test_deliveries_are_counted_over_kill_9(own_server, own_channel, token):
    channel = own_channel
    queue = declare(channel, token, durable=True, x_delivery_limit=2)
    send(channel, queue, b"x")
    for count in range(3):
        method, properties, _ = take(channel, queue)
        assert (method.redelivered, properties.headers["x-delivery-count"]) == (count > 0, count)
        let_time_pass(0.2, "deliveries are written in the background")
        channel = again(own_server)
    assert ready(channel, queue) in (0, 1)
    assert channel.basic_get(queue)[0] is None, "it was handed out three times"


def test_priorities_are_kept_over_kill_9(own_server, own_channel, token):
    queue = declare(own_channel, token, durable=True, x_max_priority=9)
    for priority in (1, 9, 5, 9):
        send(own_channel, queue, b"%d" % priority, priority=priority)
    assert drain(again(own_server), queue) == [b"9", b"9", b"5", b"1"]


def test_time_goes_on_over_kill_9(own_server, own_channel, token):
    dead = declare(own_channel, f"{token}-dead", durable=True)
    to_dead = dict(x_dead_letter_exchange="", x_dead_letter_routing_key=dead)
    queue = declare(own_channel, token, durable=True, x_message_ttl=1500, **to_dead)
    own = declare(own_channel, f"{token}-own", durable=True, **to_dead)
    late = declare(own_channel, f"{token}-late", durable=True, x_message_ttl=600_000, **to_dead)
    send(own_channel, queue, b"queue")
    send(own_channel, own, b"own", expiration="1000")
    send(own_channel, late, b"late")
    channel = again(own_server)
    assert ready(channel, late) == 1
    # Nobody touches the queues: their own timers have to go off.
    assert sorted(take(channel, dead)[2] for _ in range(2)) == [b"own", b"queue"]
    assert [ready(channel, name) for name in (queue, own, late)] == [0, 0, 1]


def test_a_dead_letter_is_in_one_place_over_kill_9(own_server, own_channel, token):
    """Killed in the middle of dead-lettering: each message is in one of both queues, once."""
    channel = own_channel
    dead = declare(channel, f"{token}-dead", durable=True)
    queue = declare(channel, token, durable=True, x_dead_letter_exchange="", x_dead_letter_routing_key=dead)
    count = 400
    for number in range(count):
        send(channel, queue, b"%d" % number)
    rejected = 0
    for _ in range(3):
        got = [channel.basic_get(queue)[0] for _ in range(100)]
        # The last rejects are on their way when the server is killed.
        channel.basic_nack(got[-1].delivery_tag, multiple=True, requeue=False)
        rejected += len(got)
        channel = again(own_server)
        counts = ready(channel, queue), ready(channel, dead)
        assert sum(counts) == count, counts
        if counts[0] < 100:
            break
    left, buried = drain(channel, queue), drain(channel, dead)
    assert sorted(left + buried, key=int) == [b"%d" % number for number in range(count)]
    assert buried == sorted(buried, key=int), "in the order in which they were rejected"


def test_what_was_dead_lettered_stays_so_over_kill_9(own_server, own_channel, token):
    channel = own_channel
    dead = declare(channel, f"{token}-dead", durable=True)
    queue = declare(channel, token, durable=True, x_max_length=5, x_dead_letter_exchange="", x_dead_letter_routing_key=dead)
    for number in range(20):
        send(channel, queue, b"%d" % number)
    wait_until(lambda: ready(channel, dead) == 15, "all of them are buried")
    channel = again(own_server)
    assert drain(channel, queue) == [b"%d" % number for number in range(15, 20)]
    _, properties, body = take(channel, dead)
    assert (body, deaths(properties)) == (b"0", [(queue, "maxlen", 1)])
    assert ready(channel, dead) == 14


def test_counters_are_on_the_metrics_page(own_server, own_channel, token):
    queue = declare(own_channel, token, durable=True, x_max_length=1, x_message_ttl=700)
    for body in (b"1", b"2"):
        send(own_channel, queue, body)

    def counted():
        page = own_server.http("/metrics")[1]
        return "robust_broker_queue_expired_total 1" in page and "robust_broker_queue_length_dropped_total 1" in page

    wait_until(counted, "both counters")
