#!/usr/bin/env python3
"""Listens to one subject through NATS, AMQP and Kafka at once and prints what arrives.

    python3 scripts/listen.py factory.line1.temp

Ends after one message through each, or after 60 seconds.
"""

import asyncio
import sys
import threading
import time

import confluent_kafka
import nats
import pika

WAIT_S = 60


def tell(protocol, subject, body):
    print(f"{protocol:5} {subject} {body.decode(errors='replace')}", flush=True)


async def through_nats(subject):
    connection = await nats.connect("nats://127.0.0.1:4222")
    got = asyncio.get_running_loop().create_future()

    async def on_message(message):
        if not got.done():
            got.set_result(message)

    await connection.subscribe(subject, cb=on_message)
    await connection.flush()
    message = await asyncio.wait_for(got, WAIT_S)
    tell("NATS", message.subject, message.data)
    await connection.close()


def through_amqp(subject):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1"))
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "amq.topic", subject)
    for method, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=WAIT_S):
        if method is not None:
            tell("AMQP", method.routing_key, body)
        break
    connection.close()


def through_kafka(subject):
    started = time.time()
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": "127.0.0.1:9092",
            "group.id": f"listen-{started}",
            # The topic may come into being with the first message: look often, miss nothing.
            "auto.offset.reset": "earliest",
            "topic.metadata.refresh.interval.ms": 500,
        }
    )
    consumer.subscribe([subject])
    while time.time() < started + WAIT_S:
        message = consumer.poll(1)
        if message is None or message.error() is not None:
            continue
        if message.timestamp()[1] >= started * 1000:
            tell("Kafka", message.topic(), message.value())
            break
    consumer.close()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    subject = sys.argv[1]
    threads = [
        threading.Thread(target=through_amqp, args=(subject,)),
        threading.Thread(target=through_kafka, args=(subject,)),
        threading.Thread(target=lambda: asyncio.run(through_nats(subject))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
