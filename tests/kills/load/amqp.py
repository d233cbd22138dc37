"""pika under kill -9: publishers with confirms, consumers that acknowledge by hand."""

import logging
import time

import pika
from pika.exceptions import AMQPError

from history import ident

from .base import RETRY_SECONDS, Load, Pace

# It reports each refused connection as an error; there are many here.
logging.getLogger("pika").setLevel(logging.CRITICAL)

IN_FLIGHT = 200
PERSISTENT = pika.BasicProperties(delivery_mode=2)
NOWHERE = "no.queue.has.this.name"


def parameters(address):
    return pika.ConnectionParameters(
        *address, credentials=pika.PlainCredentials("guest", "guest"), heartbeat=60, socket_timeout=5,
        stack_timeout=5, blocked_connection_timeout=30,
    )


def declare(address, queues):
    """Makes durable queues: {name: binding keys on amq.topic}."""
    connection = pika.BlockingConnection(parameters(address))
    channel = connection.channel()
    for name, keys in queues.items():
        channel.queue_declare(name, durable=True)
        for key in keys:
            channel.queue_bind(name, "amq.topic", key)
    connection.close()


class AmqpLoad(Load):
    """A connection with one channel, driven by pika's own loop."""

    def live(self):
        self.pika = pika.SelectConnection(
            parameters(self.address),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self.opened),
            on_open_error_callback=lambda connection, _error: connection.ioloop.stop(),
            on_close_callback=lambda connection, _error: connection.ioloop.stop(),
        )
        self.why = None
        try:
            self.pika.ioloop.start()
        except AMQPError:
            pass  # The connection went while pika wrote to it.
        except ValueError as error:
            # The server died between the connect and the first look at the socket.
            if "Expected connected socket" not in str(error):
                raise
        finally:
            self.connected = False
            self.pika.ioloop.close()
            self.cut()
        if self.why is not None:
            raise ConnectionError(f"{self.name}: the channel was closed: {self.why}")
        time.sleep(RETRY_SECONDS)

    def opened(self, channel):
        self.channel = channel
        self.connection += 1
        channel.add_on_close_callback(self.closed)
        self.begin()
        self.connected = True
        self.tick()

    def closed(self, _channel, reason):
        if isinstance(reason, pika.exceptions.ChannelClosedByBroker):
            self.why = reason
            self.pika.ioloop.stop()

    def tick(self):
        if self.ending.is_set():
            if self.pika.is_open:
                self.pika.close()
            return
        if self.pika.is_open and self.channel.is_open:
            self.turn()
            self.pika.ioloop.call_later(0.004, self.tick)

    def begin(self):
        """A channel is open."""

    def cut(self):
        """The connection is gone."""

    def turn(self):
        """A moment with a channel."""


class Publisher(AmqpLoad):
    """Publishes persistent, mandatory messages; now and then one that no queue takes."""

    def __init__(self, name, history, rng, address, exchange, key, log, rate):
        super().__init__(name, history, rng, address)
        self.exchange, self.key, self.log = exchange, key, log
        self.pace = Pace(rng, rate)
        self.unroutable = f"{name}-nowhere"
        self.open, self.tag = {}, 0
        history.add("producer", p=name, repeats=False)
        history.add("producer", p=self.unroutable, repeats=False)

    def begin(self):
        self.open, self.tag = {}, 0
        self.channel.add_on_return_callback(self.returned)
        self.channel.confirm_delivery(self.confirmed)

    def turn(self):
        if not self.producing.is_set():
            return
        for _ in range(self.pace.due()):
            if len(self.open) >= IN_FLIGHT:
                return
            if self.rng.random() < 0.02:
                self.publish(self.unroutable, None, "", NOWHERE)
            else:
                self.publish(self.name, self.log, self.exchange, self.key)

    def publish(self, producer, log, exchange, key):
        number, data = self.history.invoke(producer, log, self.pace.size())
        self.tag += 1
        self.open[self.tag] = (producer, number)
        self.channel.basic_publish(exchange, key, data, PERSISTENT, mandatory=True)

    def returned(self, _channel, method, _properties, body):
        producer, _, number = ident(body).partition("/")
        if producer != self.unroutable:
            self.history.add("fatal", c=self.name, why=f"{ident(body)} was returned: {method.reply_text}")
        for tag, sent in self.open.items():
            if sent == (producer, int(number)):
                del self.open[tag]
                break
        self.history.add("refused", p=producer, n=int(number), why=method.reply_text)

    def confirmed(self, frame):
        method = frame.method
        tags = [method.delivery_tag]
        if method.multiple:
            tags = [tag for tag in self.open if tag <= method.delivery_tag]
        for tag in tags:
            sent = self.open.pop(tag, None)
            if sent is None:
                continue  # It was returned.
            if isinstance(method, pika.spec.Basic.Ack):
                self.history.acknowledged(*sent)
            else:
                self.history.add("refused", p=sent[0], n=sent[1], why="basic.nack")

    def cut(self):
        for producer, number in self.open.values():
            self.history.lost(producer, number, "connection lost")
        self.open.clear()

    def open_count(self):
        return len(self.open)


class Consumer(AmqpLoad):
    """Takes from one queue: acknowledges one by one or many at once, sometimes late, sometimes gives
    back, and asks questions on the same channel to know what has been processed."""

    def __init__(self, name, history, rng, address, queue, prefetch=60):
        super().__init__(name, history, rng, address)
        self.queue, self.prefetch = queue, prefetch
        self.held, self.asking, self.ready = [], False, None
        self.next_question = 0.0

    def begin(self):
        self.held, self.asking, self.ready = [], False, None
        self.channel.basic_qos(prefetch_count=self.prefetch)
        self.channel.basic_consume(self.queue, self.on_message)

    def on_message(self, _channel, method, _properties, body):
        tag = method.delivery_tag
        self.history.delivered(self.queue, self.name, self.connection, body, tag, method.redelivered)
        self.held.append(tag)

    def turn(self):
        # Without load everything is settled at once, so that queues run dry.
        settle = not self.producing.is_set() or len(self.held) > self.prefetch // 2 or self.rng.random() < 0.1
        if self.held and settle:
            self.settle()
        if time.monotonic() >= self.next_question and not self.asking:
            self.ask()

    def settle(self):
        how = self.rng.random()
        if how < 0.05 and self.producing.is_set():
            tag = self.held.pop(self.rng.randrange(len(self.held)))
            self.history.add("released", c=self.name, conn=self.connection, tag=tag)
            self.channel.basic_nack(tag, requeue=True)
        elif how < 0.5:
            self.settled(self.held)
            self.channel.basic_ack(self.held[-1], multiple=True)
            self.held = []
        else:
            tags, self.held = self.held, []
            self.settled(tags)
            for tag in tags:
                self.channel.basic_ack(tag)

    def settled(self, tags):
        self.history.add("settled", c=self.name, conn=self.connection, tags=list(tags))

    def ask(self):
        self.asking = True
        self.next_question = time.monotonic() + self.rng.uniform(0.02, 0.1)
        self.history.add("asked", c=self.name, conn=self.connection)
        self.channel.queue_declare(self.queue, passive=True, callback=self.answered)

    def answered(self, frame):
        self.asking = False
        self.ready = frame.method.message_count
        self.history.add("answered", c=self.name, conn=self.connection)

    def open_count(self):
        return len(self.held) + (self.ready or 0)
