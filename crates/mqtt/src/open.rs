//! A connection that stands: which packet goes where, and what is left when it ends.

use std::time::{Duration, Instant};

use model::limits::Limits;
use mqtt_codec::{Disconnect, Packet, PacketId, Publish, ReasonCode};
use protocol::{
    Claimed, Close, Delivery, DurableSubscription, Expiry, Handover, Refusal, Release, Reply,
    Request, Start, Token,
};

use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::resume::{Parting, Row};
use crate::subscribing::{self, Answers, Scope};
use crate::subscriptions::{Grant, Subscriptions, Wanted};
use crate::turn::{Asked, Ending, Link, Turn};
use crate::will::Will;

const NOT_REMEMBERED: &str = "storage takes no writes";

/// A connection after CONNACK.
#[derive(Debug)]
pub(crate) struct Open {
    link: Link,
    keep_alive_secs: u16,
    /// When the last packet came in.
    heard: Instant,
    expiry: Expiry,
    will: Option<Box<Will>>,
    subscriptions: Subscriptions,
    answers: Answers,
    inbound: Inbound,
    outbound: Outbound,
}

/// What CONNECT settled.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) link: Link,
    pub(crate) keep_alive_secs: u16,
    pub(crate) expiry: Expiry,
    pub(crate) will: Option<Box<Will>>,
    /// Most QoS 1 and 2 messages in flight to the client.
    pub(crate) window: u16,
}

impl Open {
    pub(crate) fn new(terms: Terms, now: Instant) -> Self {
        let Terms { link, keep_alive_secs, expiry, will, window } = terms;
        Self {
            link,
            keep_alive_secs,
            heard: now,
            expiry,
            will,
            subscriptions: Subscriptions::default(),
            answers: Answers::default(),
            inbound: Inbound::new(link.version),
            outbound: Outbound::new(window, expiry.is_durable()),
        }
    }

    pub(crate) fn link(&self) -> Link {
        self.link
    }

    fn durable(&self) -> bool {
        self.expiry.is_durable()
    }

    /// Goes on where the session's last connection ended.
    pub(crate) fn resume(&mut self, claimed: Claimed, limits: &Limits, turn: &mut Turn<'_>) {
        let Claimed { subscriptions, memory, handover, .. } = claimed;
        for DurableSubscription { number, filter, group, memo } in subscriptions {
            let grant = Grant::read(&memo).map(|(grant, _)| grant);
            let text = Wanted::text(&filter, group.as_ref());
            let restored = grant
                .zip(text)
                .is_some_and(|(grant, text)| self.subscriptions.restore(number, text, grant));
            if !restored {
                turn.out.tell(Request::Unsubscribe(number));
            }
        }
        let mut sent = Vec::new();
        for (key, value) in memory {
            match Row::read(&key, &value) {
                Some(Row::Inbound(id)) => self.inbound.qos2.restore(id),
                Some(Row::Outbound { id, tag, released }) => sent.push((id, tag, released)),
                Some(Row::Subscription { number, grant, text }) => {
                    self.subscribe_again(number, grant, text, limits, turn);
                }
                None => turn.forget(key),
            }
        }
        let parting = handover.and_then(|handover| handover.0.downcast::<Parting>().ok());
        let parting = parting.map(|parting| *parting).unwrap_or_default();
        self.outbound.resume(parting, sent, self.link, turn);
    }

    /// A QoS 0 subscription is live only: the broker forgot it with the last connection.
    fn subscribe_again(
        &mut self,
        number: u32,
        grant: Grant,
        text: Box<[u8]>,
        limits: &Limits,
        turn: &mut Turn<'_>,
    ) {
        let Some(wanted) = Wanted::read(&text) else { return };
        if self.subscriptions.len() < limits.subscriptions
            && self.subscriptions.restore(number, text, grant)
        {
            turn.out.tell(subscribing::subscribe(number, wanted, grant, false, Start::Now));
        }
    }

    /// Takes in a packet.
    pub(crate) fn packet(
        &mut self,
        packet: Packet,
        limits: &Limits,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ending> {
        self.heard = turn.now.instant;
        let link = self.link;
        match packet {
            Packet::Publish(publish) => return self.publish(publish, limits, turn),
            Packet::PubAck(ack) => self.outbound.acknowledged(ack.packet_id, link, turn),
            Packet::PubRec(ack) => self.outbound.received(&ack, link, turn),
            Packet::PubComp(ack) => self.outbound.completed(ack.packet_id, link, turn),
            Packet::PubRel(ack) => {
                self.inbound.release(ack.packet_id, link, self.durable(), turn);
            }
            Packet::Subscribe(subscribe) => {
                let scope = Scope { link, durable: self.durable(), limits };
                return self.answers.subscribe(&subscribe, &mut self.subscriptions, scope, turn);
            }
            Packet::Unsubscribe(unsubscribe) => {
                let scope = Scope { link, durable: self.durable(), limits };
                self.answers.unsubscribe(&unsubscribe, &mut self.subscriptions, scope, turn);
            }
            Packet::PingReq => link.send(&Packet::PingResp, turn), // [MQTT-3.12.4-1]
            Packet::Disconnect(disconnect) => return self.disconnect(&disconnect),
            Packet::Connect(_) => return unexpected("a second CONNECT"), // [MQTT-3.1.0-2]
            Packet::Auth(_) => return unexpected("AUTH without an authentication method"),
            Packet::ConnAck(_) => return unexpected("CONNACK from a client"),
            Packet::SubAck(_) => return unexpected("SUBACK from a client"),
            Packet::UnsubAck(_) => return unexpected("UNSUBACK from a client"),
            Packet::PingResp => return unexpected("PINGRESP from a client"),
        }
        Ok(())
    }

    fn publish(
        &mut self,
        publish: Publish,
        limits: &Limits,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ending> {
        let durable = self.durable();
        self.inbound.publish(publish, self.link, durable, limits, turn)
    }

    /// Takes in a DISCONNECT: only a normal one deletes the will [MQTT-3.14.4-3].
    fn disconnect(&mut self, disconnect: &Disconnect) -> Result<(), Ending> {
        let expiry = disconnect.properties.as_ref().and_then(|own| own.session_expiry_secs);
        if let Some(secs) = expiry {
            if !self.durable() && secs != 0 {
                let why = "a session expiry where CONNECT had none"; // §3.14.2.2.2
                return unexpected(why);
            }
            self.expiry = expiry_of(secs);
        }
        if disconnect.code == ReasonCode::Success {
            self.will = None;
        }
        Err(Ending::Close(Close::Done))
    }

    /// Takes in an answer of the broker.
    pub(crate) fn reply(
        &mut self,
        token: Token,
        reply: &Reply,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ending> {
        let link = self.link;
        let Some((asked, number)) = Asked::of(token) else { return Ok(()) };
        let id = PacketId::new((number & 0xFFFF) as u16);
        match (asked, id) {
            (Asked::Publish, _) => return self.inbound.answered(number, reply, link, turn),
            (Asked::Item | Asked::Rows, _) => {
                let is_item = asked == Asked::Item;
                let table = &mut self.subscriptions;
                self.answers.answered(number, is_item, reply, table, link, turn);
            }
            // PUBCOMP frees the identifier: with its receipt still there, the next message under it
            // would be taken for a repeat after a restart. The client asks again.
            (Asked::Released, Some(_)) if matches!(reply, Reply::Refused(_)) => {
                return Err(Ending::Refused(ReasonCode::ServerBusy, NOT_REMEMBERED));
            }
            (Asked::Sending | Asked::Received, Some(_)) if is_lost(reply) => {
                return Err(Ending::Refused(ReasonCode::ServerBusy, NOT_REMEMBERED));
            }
            (Asked::Released, Some(id)) => self.inbound.released(id, link, turn),
            // What cannot be remembered for want of room is done all the same, within this run:
            // settling it is what makes room.
            (Asked::Sending, Some(id)) => self.outbound.stored(id, link, turn),
            (Asked::Received, Some(id)) => self.outbound.release(id, link, turn),
            (Asked::Released | Asked::Sending | Asked::Received, None) | (Asked::Claim, _) => {
                debug_assert!(false, "no such request");
            }
        }
        Ok(())
    }

    /// Takes in messages.
    pub(crate) fn deliver(
        &mut self,
        deliveries: &[Delivery],
        limits: &Limits,
        turn: &mut Turn<'_>,
    ) {
        for delivery in deliveries {
            let shape = self.subscriptions.shape(delivery);
            match shape.filter(|_| !delivery.message.record.is_expired(turn.now.unix_ms)) {
                Some(shape) => {
                    let live_max = limits.session_messages;
                    self.outbound.deliver(delivery, shape, live_max, self.link, turn);
                }
                // Unsubscribed meanwhile, or expired [MQTT-3.3.2-5].
                None => delivery.tag.into_iter().for_each(|tag| self.outbound.give_up(tag, turn)),
            }
        }
    }

    /// When the client counts as gone: one and a half keep-alive intervals of silence
    /// [MQTT-3.1.2-22].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let patience = Duration::from_secs(u64::from(self.keep_alive_secs)) * 3 / 2;
        (!patience.is_zero()).then(|| self.heard + patience)
    }

    /// The deadline has passed, perhaps.
    pub(crate) fn timeout(&mut self, turn: &mut Turn<'_>) -> Result<(), Ending> {
        if self.deadline().is_none_or(|deadline| turn.now.instant < deadline) {
            return Ok(());
        }
        if self.inbound.is_owing() {
            // The client waits for us; its socket may not have been read meanwhile.
            self.heard = turn.now.instant;
            return Ok(());
        }
        self.link.goodbye(ReasonCode::KeepAliveTimeout, "nothing heard", turn);
        Err(Ending::Close(Close::Timeout))
    }

    /// Lets go of the session: the will, and what the next connection needs.
    pub(crate) fn end(&mut self, turn: &mut Turn<'_>) {
        let unix_ms = turn.now.unix_ms;
        let mut later = None;
        if let Some(will) = self.will.take() {
            let delay_ms = will.delay_ms();
            if delay_ms == 0 || !self.durable() {
                turn.out.tell(Request::Publish(will.publish(0, unix_ms)));
            } else {
                // The session may end before the delay does [MQTT-3.1.2-8].
                let delay_ms = match self.expiry {
                    Expiry::After(expiry_ms) => delay_ms.min(expiry_ms),
                    Expiry::Never => delay_ms,
                };
                let publish = will.publish(delay_ms, unix_ms);
                later = Some(Box::new(protocol::Will { delay_ms, publish }));
            }
        }
        let handover = self.durable().then(|| Handover(Box::new(self.outbound.part())));
        turn.out.tell(Request::Release(Release {
            expiry: Some(self.expiry),
            will: later,
            handover,
        }));
    }
}

/// The expiry that MQTT 5 says in seconds (§3.1.2.11.2).
pub(crate) const fn expiry_of(secs: u32) -> Expiry {
    match secs {
        u32::MAX => Expiry::Never,
        secs => Expiry::After(secs as u64 * 1000),
    }
}

/// Storage takes nothing any more: what is not remembered now would be done twice after a restart.
fn is_lost(reply: &Reply) -> bool {
    matches!(reply, Reply::Refused(refusal) if *refusal != Refusal::NoRoom)
}

fn unexpected(why: &str) -> Result<(), Ending> {
    Err(Ending::fault(ReasonCode::ProtocolError, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        let size = size_of::<Open>();
        assert!(size <= 384, "{size} bytes for each connection that stands");
    }
}
