//! A core NATS client.

use bytes::BytesMut;
use nats_codec::{Connect, Limits, ServerDecoder, ServerOp, encode};

use super::Failure;
use super::dialect::{Dialect, Event, Role};

#[derive(Debug)]
pub(super) struct Client {
    decoder: ServerDecoder,
    subject: String,
    subscriber: bool,
    acknowledged: bool,
    ready: bool,
    sent: u64,
    /// Messages before the PING that is unanswered.
    asked: Option<u64>,
    acked: u64,
}

impl Client {
    pub(super) fn new(role: &Role) -> Self {
        let (subject, subscriber, acknowledged) = match role {
            Role::Publisher { topic, acknowledged } => (topic.clone(), false, *acknowledged),
            Role::Subscriber { topic, below: false } => (topic.clone(), true, false),
            Role::Subscriber { topic, below: true } => (format!("{topic}/>"), true, false),
        };
        Self {
            decoder: ServerDecoder::default(),
            subject: subject.replace('/', "."),
            subscriber,
            acknowledged,
            ready: false,
            sent: 0,
            asked: None,
            acked: 0,
        }
    }
}

impl Dialect for Client {
    fn open(&mut self, out: &mut BytesMut) {
        // Nothing needs to be known from INFO.
        encode::connect(out, &Connect::modern());
        if self.subscriber {
            encode::subscribe(out, self.subject.as_bytes(), None, b"1");
        }
        encode::ping(out);
    }

    fn receive(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Failure> {
        let limits = Limits::for_client();
        loop {
            let op = self.decoder.decode(input, &limits);
            match op.map_err(|error| Failure::peer(format!("not NATS: {error}")))? {
                None => return Ok(()),
                Some(ServerOp::Message(message)) => sink(Event::Message(&message.payload)),
                Some(ServerOp::Ping) => encode::pong(out),
                Some(ServerOp::Pong) if !self.ready => {
                    self.ready = true;
                    sink(Event::Ready);
                }
                Some(ServerOp::Pong) => {
                    if let Some(asked) = self.asked.take() {
                        sink(Event::Acked(asked - self.acked));
                        self.acked = asked;
                    }
                }
                Some(ServerOp::Info(_) | ServerOp::Ok) => {}
                Some(ServerOp::Err(text)) => {
                    return Err(Failure::peer(format!(
                        "the server says: {}",
                        String::from_utf8_lossy(&text)
                    )));
                }
            }
        }
    }

    fn publish(&mut self, payload: &[u8], out: &mut BytesMut) {
        encode::publish(out, self.subject.as_bytes(), None, b"", payload);
        self.sent += 1;
    }

    fn flush(&mut self, out: &mut BytesMut) {
        if self.acknowledged && self.asked.is_none() && self.sent > self.acked {
            self.asked = Some(self.sent);
            encode::ping(out);
        }
    }
}
