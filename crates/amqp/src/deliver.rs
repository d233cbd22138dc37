//! Deliveries and pulled messages to frames.

use amqp_codec::frame::FRAME_END;
use amqp_codec::send::{self, Delivery as Head};
use amqp_codec::{Properties, ShortStr, basic};
use bytes::{BufMut, Bytes};
use protocol::{Delivery, Outbox, Pulled, Settlement};

use crate::dead_letter;
use crate::exchange;
use crate::field_map;
use crate::running::Running;
use crate::session::Cx;
use crate::settle::settle;

/// Bodies up to this size are copied behind their headers; larger ones are shared.
const COPY_MAX: usize = 2048;

/// Writes header and body frames.
pub(crate) fn put_content(
    out: &mut Outbox,
    channel: u16,
    properties: &Properties,
    body: &Bytes,
    frame_max: u32,
) {
    if body.len() <= COPY_MAX {
        send::put_content(out.buffer(), channel, properties, body, frame_max);
        return;
    }
    send::put_content_header(out.buffer(), channel, properties, body.len() as u64);
    for part in send::body_parts(body, frame_max) {
        send::put_body_head(out.buffer(), channel, part.len());
        out.frame(&part);
        out.buffer().put_u8(FRAME_END);
    }
}

/// The property block of a delivery.
fn properties(delivery: &Delivery, unix_ms: i64) -> Properties {
    let plain = field_map::properties(&delivery.message, unix_ms);
    dead_letter::marked(plain, &delivery.message, delivery.deliveries)
}

impl Running {
    /// Messages for this connection's consumers. What comes for a consumer that has ended goes back.
    pub(crate) fn deliveries(&mut self, cx: &mut Cx<'_>, deliveries: &[Delivery]) {
        let mut homeless = Vec::new();
        for delivery in deliveries {
            let mut taken = false;
            for number in delivery.matched.as_slice() {
                taken |= self.deliver(cx, *number, delivery);
            }
            if !taken {
                homeless.extend(delivery.tag);
            }
        }
        settle(cx, homeless, Settlement::Unseen);
    }

    fn deliver(&mut self, cx: &mut Cx<'_>, number: u32, delivery: &Delivery) -> bool {
        let frame_max = self.tuned.frame_max;
        let Some(consumer) = self.consumers.get(&number) else { return false };
        let Some(crate::channel::Slot::Open(channel)) = self.channels.get_mut(&consumer.channel)
        else {
            return false;
        };
        let delivery_tag = channel.next_delivery();
        if let Some(tag) = delivery.tag
            && !consumer.no_ack
        {
            channel.unsettled.push(delivery_tag, tag);
        }
        let message = &*delivery.message;
        let (exchange, routing_key) = exchange::origin(&message.address);
        let properties = properties(delivery, cx.now.unix_ms);
        let body = message.record.value.clone().unwrap_or_default();
        let head = Head {
            consumer_tag: consumer.tag.as_bytes(),
            delivery_tag,
            redelivered: delivery.redelivered,
            exchange,
            routing_key: &routing_key,
        };
        if body.len() <= COPY_MAX {
            let out = cx.out.buffer();
            send::put_deliver(out, consumer.channel, &head, &properties, &body, frame_max);
        } else {
            send::put_deliver_method(cx.out.buffer(), consumer.channel, &head);
            put_content(cx.out, consumer.channel, &properties, &body, frame_max);
        }
        true
    }

    /// The answer to basic.get.
    pub(crate) fn pulled(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        no_ack: bool,
        pulled: Option<Box<Pulled>>,
    ) {
        let frame_max = self.tuned.frame_max;
        let Some(channel) = self.channel(number) else {
            let tag = pulled.and_then(|pulled| pulled.delivery.tag);
            return settle(cx, tag.into_iter().collect(), Settlement::Unseen);
        };
        let Some(pulled) = pulled else {
            return cx.send(number, basic::GetEmpty::default());
        };
        let Pulled { delivery, remaining } = *pulled;
        let delivery_tag = channel.next_delivery();
        if let Some(tag) = delivery.tag
            && !no_ack
        {
            channel.unsettled.push(delivery_tag, tag);
        }
        let message = &*delivery.message;
        let (exchange, routing_key) = exchange::origin(&message.address);
        let short = |bytes: Bytes| ShortStr::new(bytes).unwrap_or_default();
        let get_ok = basic::GetOk {
            delivery_tag,
            redelivered: delivery.redelivered,
            exchange: short(Bytes::copy_from_slice(exchange)),
            routing_key: short(routing_key),
            message_count: u32::try_from(remaining).unwrap_or(u32::MAX),
        };
        cx.send(number, get_ok);
        let properties = properties(&delivery, cx.now.unix_ms);
        let body = message.record.value.clone().unwrap_or_default();
        put_content(cx.out, number, &properties, &body, frame_max);
    }
}
