// Drives amqplib, the Node client of AMQP 0-9-1, for the interop tests.
//
// Usage: node amqp.js URL SCENARIO. Prints what it saw; the tests compare it. amqplib is found
// through NODE_PATH.
'use strict';

const crypto = require('crypto');
const amqp = require('amqplib');

const fresh = () => `node-${crypto.randomUUID()}`;

/** Resolves with the first `count` messages of a consumer. */
function take(channel, queue, count, options = {}) {
  const got = [];
  return new Promise((resolve, reject) => {
    channel.consume(queue, (message) => {
      if (message === null) return reject(new Error('the consumer was cancelled'));
      got.push(message);
      if (got.length === count) resolve(got);
    }, options).catch(reject);
  });
}

const scenarios = {
  async confirms(connection) {
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    for (let n = 0; n < 100; n += 1) channel.sendToQueue(queue, Buffer.from(`${n}`), { persistent: true });
    await channel.waitForConfirms();
    const got = await take(channel, queue, 100, { noAck: true });
    return got.map((m) => m.content.toString()).join() === [...Array(100).keys()].join() ? 'in order' : 'out of order';
  },

  async headers(connection) {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    channel.sendToQueue(queue, Buffer.from('x'), {
      contentType: 'text/plain', correlationId: 'c', replyTo: 'r', messageId: 'm', type: 't', appId: 'a',
      priority: 3, timestamp: 1600000000, headers: { text: 'v', number: 7, flag: true, list: [1, 'a'], table: { k: 'v' } },
    });
    const [{ properties: p }] = await take(channel, queue, 1, { noAck: true });
    return JSON.stringify([p.contentType, p.correlationId, p.replyTo, p.messageId, p.type, p.appId, p.priority,
      p.timestamp, p.headers]);
  },

  async routing(connection) {
    const channel = await connection.createConfirmChannel();
    const exchange = fresh();
    await channel.assertExchange(exchange, 'topic', { durable: false, autoDelete: true });
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, exchange, 'a.*.c');
    await channel.bindQueue(queue, exchange, '#.z');
    for (const key of ['a.b.c', 'a.c', 'z', 'x.y.z', 'a.b.b.c']) channel.publish(exchange, key, Buffer.from(key));
    await channel.waitForConfirms();
    const got = await take(channel, queue, 3, { noAck: true });
    return got.map((m) => m.fields.routingKey).join();
  },

  async returned(connection) {
    const channel = await connection.createConfirmChannel();
    const order = [];
    channel.on('return', (message) => order.push(`return ${message.fields.replyCode} ${message.fields.replyText}`));
    await new Promise((resolve, reject) => {
      channel.publish('', fresh(), Buffer.from('x'), { mandatory: true }, (error) => {
        if (error) return reject(error);
        order.push('ack');
        resolve();
      });
    });
    return order.join(', ');
  },

  async prefetch(connection) {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    for (let n = 0; n < 10; n += 1) channel.sendToQueue(queue, Buffer.from(`${n}`));
    await channel.prefetch(3);
    const seen = [];
    await channel.consume(queue, (message) => seen.push(message));
    while (seen.length < 3) await new Promise(setImmediate);
    // A fourth would arrive before the answer to this.
    await channel.checkQueue(queue);
    const before = seen.length;
    channel.ackAll();
    while (seen.length < 6) await new Promise(setImmediate);
    return `${before} then ${seen.length}`;
  },

  async requeue(connection) {
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    for (let n = 0; n < 4; n += 1) channel.sendToQueue(queue, Buffer.from(`${n}`));
    const first = await channel.get(queue);
    const second = await channel.get(queue);
    channel.nack(second, false, true);
    channel.nack(first, false, true);
    const got = [];
    for (let n = 0; n < 4; n += 1) got.push(await channel.get(queue, { noAck: true }));
    return got.map((m) => `${m.content}${m.fields.redelivered ? '*' : ''}`).join(' ');
  },

  async missing(connection) {
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    try {
      await channel.checkQueue('surely-not-there');
      return 'there';
    } catch (error) {
      return `${error.code} ${error.message}`;
    }
  },
};

async function main() {
  const [url, name] = process.argv.slice(2);
  const connection = await amqp.connect(url);
  connection.on('error', (error) => { throw error; });
  console.log(await scenarios[name](connection));
  await connection.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
