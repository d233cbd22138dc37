//! Messages to MSG and HMSG.
//!
//! The hottest path: subject, sid and sizes are written straight into the outbox, the header block
//! of a message is built once for all its receivers.

use bytes::{BufMut, Bytes, BytesMut};
use model::record::{Address, Space};
use model::render;
use nats_codec::encode;
use protocol::{Delivery, Message, Now, Outbox, Request};

use crate::field_map;
use crate::subscriptions::{Numbers, Subscriptions};

/// Payloads above this are shared with the outbox instead of copied.
const COPY_MAX: usize = 2048;

/// What a receiver can be given.
#[derive(Debug)]
pub(crate) struct Receiver<'a> {
    /// The space of `$...` subjects.
    pub(crate) private: &'a Space,
    /// It understands HMSG; others get the payload alone.
    pub(crate) headers: bool,
}

impl Receiver<'_> {
    /// Writes each message once for each of the receiver's subscriptions that it is for.
    pub(crate) fn deliver(
        &self,
        now: Now,
        deliveries: &[Delivery],
        subscriptions: &mut Subscriptions,
        out: &mut Outbox,
    ) {
        let mut last = Rendered::default();
        for delivery in deliveries {
            let message = &*delivery.message;
            if message.record.properties.is_some() && message.record.is_expired(now.unix_ms) {
                continue;
            }
            let block =
                if self.headers { field_map::block(message, now.unix_ms) } else { Bytes::new() };
            let name = last.name(message, deliveries.len() > 1);
            for number in delivery.matched.as_slice() {
                let Some(subscription) = subscriptions.get_mut(*number) else { continue };
                let is_last = subscription.count();
                self.write(message, name, subscription.sid(), &block, out);
                if is_last && let Some(numbers) = subscriptions.remove(*number) {
                    unsubscribe(numbers, out);
                }
            }
        }
    }

    fn write(
        &self,
        message: &Message,
        name: Option<&[u8]>,
        sid: &[u8],
        block: &Bytes,
        out: &mut Outbox,
    ) {
        let write_subject = |out: &mut BytesMut| match name {
            Some(name) => out.extend_from_slice(name),
            None => write_subject(message, out),
        };
        let write_reply = |out: &mut BytesMut| {
            if let Some(reply) = self.reply(message) {
                render::nats::write(reply, out);
                out.extend_from_slice(b" ");
            }
        };
        let empty = Bytes::new();
        let payload = message.record.value.as_ref().unwrap_or(&empty);
        let body = block.len() + payload.len();
        encode::message_head(out.buffer(), write_subject, sid, write_reply, block.len(), body);
        if !block.is_empty() {
            out.buffer().extend_from_slice(block);
        }
        if payload.len() > COPY_MAX {
            out.frame(payload);
            out.buffer().extend_from_slice(b"\r\n");
        } else {
            let buffer = out.buffer();
            buffer.reserve(payload.len() + 2);
            buffer.put_slice(payload);
            buffer.put_slice(b"\r\n");
        }
    }

    /// Where the receiver can answer, if an answer is wanted.
    ///
    /// Between NATS clients the reply is untouched; an alias stands for an address or a
    /// correlation that the control line cannot carry.
    fn reply<'m>(&self, message: &'m Message) -> Option<&'m model::subject::Subject> {
        let properties = message.record.properties.as_deref()?;
        match properties.reply_to.as_ref()? {
            Address::Subject(space, subject) if space == self.private => Some(subject),
            Address::Subject(space, subject) if space.is_shared() => {
                let plain = properties.correlation.is_none();
                if plain || field_map::is_from_nats(&message.record) {
                    Some(subject)
                } else {
                    Some(message.reply_alias.get().unwrap_or(subject))
                }
            }
            Address::Subject(_, _) | Address::Queue(_) => message.reply_alias.get(),
        }
    }
}

/// The name of the last message's subject: those of one batch are often alike.
#[derive(Debug, Default)]
struct Rendered {
    of: Option<Address>,
    name: BytesMut,
}

impl Rendered {
    /// The name of the message's subject; `None` if it is not worth remembering.
    fn name(&mut self, message: &Message, remember: bool) -> Option<&[u8]> {
        if !remember {
            return None;
        }
        if self.of.as_ref() != Some(&message.address) {
            self.of = Some(message.address.clone());
            self.name.clear();
            write_subject(message, &mut self.name);
        }
        Some(&self.name)
    }
}

fn write_subject(message: &Message, out: &mut BytesMut) {
    match &message.address {
        Address::Subject(_, subject) => render::nats::write(subject, out),
        // What a subscription matches has a subject; the name keeps the line well formed.
        Address::Queue(name) => {
            let safe = |byte: &u8| if byte.is_ascii_graphic() { *byte } else { b'_' };
            out.extend(name.iter().map(safe));
        }
    }
}

/// Ends a subscription at the broker.
pub(crate) fn unsubscribe(numbers: Numbers, out: &mut Outbox) {
    for number in numbers.each() {
        out.tell(Request::Unsubscribe(number));
    }
}
