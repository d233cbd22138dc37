//! An AMQP 0-9-1 client: one channel, confirms for publishers that nobody listens to.
//!
//! Where there are subscribers, messages go through `amq.topic` to a queue of each subscriber.
//! Where there are none, they go to a queue that the publisher declared and that goes with it.

use amqp_codec::hello::HEADER;
use amqp_codec::send::put_message;
use amqp_codec::{
    Frame, Limits, LongStr, Method, Properties, PropertyView, ShortStr, Table, basic, channel,
    confirm, connection, decode, queue,
};
use bytes::BytesMut;

use super::Failure;
use super::dialect::{Dialect, Event, Role};

const CHANNEL: u16 = 1;
const FRAME_MAX: u32 = 131_072;
const EXCHANGE: &str = "amq.topic";

pub(super) struct Client {
    key: ShortStr,
    subscriber: bool,
    acknowledged: bool,
    persistent: bool,
    properties: Properties,
    frame_max: u32,
    /// Confirms up to here have been counted.
    confirmed: u64,
    /// Body of the delivery that is coming in, and how much of it is still to come.
    body: BytesMut,
    body_left: u64,
}

impl Client {
    pub(super) fn new(role: &Role, persistent: bool) -> Self {
        let (topic, subscriber, acknowledged) = match role {
            Role::Publisher { topic, acknowledged } => (topic.clone(), false, *acknowledged),
            Role::Subscriber { topic, below: false } => (topic.clone(), true, false),
            Role::Subscriber { topic, below: true } => (format!("{topic}/#"), true, false),
        };
        let mode = if persistent { 2 } else { 1 };
        let view = PropertyView { delivery_mode: Some(mode), ..PropertyView::default() };
        Self {
            key: ShortStr::truncated(&topic.replace('/', ".")),
            subscriber,
            acknowledged,
            persistent,
            properties: view.encode(),
            frame_max: FRAME_MAX,
            confirmed: 0,
            body: BytesMut::new(),
            body_left: 0,
        }
    }

    fn send(channel: u16, method: impl Into<Method>, out: &mut BytesMut) {
        Frame::Method { channel, method: method.into() }.encode(out);
    }

    fn declare(&self, queue: ShortStr, out: &mut BytesMut) {
        let declare = queue::Declare {
            reserved_1: 0,
            queue,
            passive: false,
            durable: self.persistent,
            // What lasts belongs to no connection: such a queue stays behind, named after the run.
            exclusive: !self.persistent,
            auto_delete: false,
            nowait: false,
            arguments: Table::default(),
        };
        Self::send(CHANNEL, declare, out);
    }

    fn connection(
        &mut self,
        method: connection::Method,
        out: &mut BytesMut,
    ) -> Result<(), Failure> {
        if let connection::Method::Start(_) = method {
            let answer = connection::StartOk {
                client_properties: Table::default(),
                mechanism: ShortStr::from_static("PLAIN"),
                response: LongStr::from_static("\0guest\0guest"),
                locale: ShortStr::from_static("en_US"),
            };
            Self::send(0, answer, out);
        } else if let connection::Method::Tune(tune) = method {
            if tune.frame_max > 0 {
                self.frame_max = self.frame_max.min(tune.frame_max);
            }
            let channel_max = tune.channel_max;
            let answer =
                connection::TuneOk { channel_max, frame_max: self.frame_max, heartbeat: 0 };
            Self::send(0, answer, out);
            let open = connection::Open {
                virtual_host: ShortStr::from_static("/"),
                reserved_1: ShortStr::default(),
                reserved_2: false,
            };
            Self::send(0, open, out);
        } else if let connection::Method::OpenOk(_) = method {
            Self::send(CHANNEL, channel::Open { reserved_1: ShortStr::default() }, out);
        } else if let connection::Method::Close(close) = method {
            let text = close.reply_text.to_text();
            return Err(Failure::peer(format!("the server closes: {} {text}", close.reply_code)));
        }
        Ok(())
    }

    fn queue(&mut self, method: queue::Method, out: &mut BytesMut) {
        if let queue::Method::DeclareOk(declared) = method {
            if self.subscriber {
                let bind = queue::Bind {
                    reserved_1: 0,
                    queue: declared.queue.clone(),
                    exchange: ShortStr::from_static(EXCHANGE),
                    routing_key: self.key.clone(),
                    nowait: true,
                    arguments: Table::default(),
                };
                Self::send(CHANNEL, bind, out);
                let consume = basic::Consume {
                    reserved_1: 0,
                    queue: declared.queue,
                    consumer_tag: ShortStr::default(),
                    no_local: false,
                    no_ack: true,
                    exclusive: false,
                    nowait: false,
                    arguments: Table::default(),
                };
                Self::send(CHANNEL, consume, out);
            } else {
                Self::send(CHANNEL, confirm::Select { nowait: false }, out);
            }
        }
    }

    fn method(
        &mut self,
        method: Method,
        out: &mut BytesMut,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Failure> {
        match method {
            Method::Connection(method) => self.connection(method, out)?,
            Method::Channel(channel::Method::OpenOk(_)) => {
                if self.subscriber {
                    self.declare(ShortStr::default(), out);
                } else if self.acknowledged {
                    self.declare(self.key.clone(), out);
                } else {
                    sink(Event::Ready);
                }
            }
            Method::Channel(channel::Method::Close(close)) => {
                let text = close.reply_text.to_text();
                return Err(Failure::peer(format!(
                    "the server closes the channel: {} {text}",
                    close.reply_code
                )));
            }
            Method::Queue(method) => self.queue(method, out),
            Method::Confirm(confirm::Method::SelectOk(_))
            | Method::Basic(basic::Method::ConsumeOk(_)) => sink(Event::Ready),
            Method::Basic(basic::Method::Ack(ack)) => {
                // Confirms may come out of order; then they are counted one by one.
                let count =
                    if ack.multiple { ack.delivery_tag.saturating_sub(self.confirmed) } else { 1 };
                self.confirmed += count;
                sink(Event::Acked(count));
            }
            Method::Basic(basic::Method::Nack(_)) => {
                return Err(Failure::peer("the server refused a message"));
            }
            Method::Channel(_)
            | Method::Access(_)
            | Method::Exchange(_)
            | Method::Basic(_)
            | Method::Confirm(_)
            | Method::Tx(_) => {}
        }
        Ok(())
    }
}

impl Dialect for Client {
    fn open(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&HEADER);
    }

    fn receive(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Failure> {
        let limits = Limits { frame_max: self.frame_max };
        loop {
            let frame = decode(input, &limits);
            match frame.map_err(|error| Failure::peer(format!("not AMQP: {error}")))? {
                None => return Ok(()),
                Some(Frame::Heartbeat) => {}
                Some(Frame::Method { method, .. }) => self.method(method, out, sink)?,
                Some(Frame::Header { header, .. }) => {
                    self.body.clear();
                    self.body_left = header.body_size;
                    if header.body_size == 0 {
                        sink(Event::Message(b""));
                    }
                }
                Some(Frame::Body { payload, .. }) => {
                    let left = self.body_left.saturating_sub(payload.len() as u64);
                    if left == 0 && self.body.is_empty() {
                        sink(Event::Message(&payload));
                    } else {
                        self.body.extend_from_slice(&payload);
                        if left == 0 {
                            sink(Event::Message(&self.body));
                        }
                    }
                    self.body_left = left;
                }
            }
        }
    }

    fn publish(&mut self, payload: &[u8], out: &mut BytesMut) {
        let exchange =
            if self.acknowledged { ShortStr::default() } else { ShortStr::from_static(EXCHANGE) };
        let publish = basic::Publish {
            reserved_1: 0,
            exchange,
            routing_key: self.key.clone(),
            mandatory: false,
            immediate: false,
        };
        put_message(out, CHANNEL, &publish.into(), &self.properties, payload, self.frame_max);
    }

    fn flush(&mut self, _out: &mut BytesMut) {}
}
