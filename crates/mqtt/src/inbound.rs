//! PUBLISH from the client, and the acknowledgements that are owed for it.
//!
//! Acknowledgements go out in the order in which the messages came in [MQTT-4.6.0-2] [MQTT-4.6.0-3],
//! whatever the order in which the answers come: they wait in a queue, and a request's token is its
//! number there.

use std::collections::VecDeque;
use std::num::NonZeroU16;

use bytes::Bytes;
use model::limits::Limits;
use model::record::Address;
use model::subject::Invalid;
use mqtt_codec::publish::Assurance;
use mqtt_codec::{Ack, Packet, PacketId, Publish, Qos, ReasonCode, Version};
use protocol::{Published, Remember, Reply, Request, Wait};

use crate::fields;
use crate::qos2::{InboundQos2, Receipt, ReceiveMaximumExceeded};
use crate::refusal::Cause;
use crate::resume;
use crate::turn::{Asked, Ending, Link, Turn};
use crate::will;

/// QoS 1 and 2 messages that a client may have in flight towards us, as MQTT 5 clients are told.
pub(crate) const RECEIVE_MAXIMUM: u16 = 1000;

/// Topic aliases that an MQTT 5 client may use; each keeps a topic name.
pub(crate) const TOPIC_ALIAS_MAXIMUM: u16 = 64;

/// Acknowledgements to this number keep their place in memory while none is owed.
const OWED_KEPT: usize = 4;

/// An acknowledgement in its place in the order.
#[derive(Debug)]
struct Owed {
    id: PacketId,
    qos: Qos,
    /// `None` while the request is in flight.
    code: Option<ReasonCode>,
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(crate) struct Inbound {
    owed: VecDeque<Owed>,
    /// Number of the first in `owed`.
    first: u64,
    /// QoS 1 messages among them.
    at_least_once: usize,
    pub(crate) qos2: InboundQos2,
    aliases: Option<Box<Aliases>>,
}

/// Topics by alias; they live as long as the connection [MQTT-3.3.2-7].
type Aliases = [Option<Address>; TOPIC_ALIAS_MAXIMUM as usize];

/// What becomes of a message that the broker did not take.
enum Answer {
    Code(ReasonCode),
    End(Ending),
}

fn alias_slot(aliases: &mut Aliases, alias: NonZeroU16) -> Option<&mut Option<Address>> {
    aliases.get_mut(usize::from(alias.get()) - 1)
}

impl Inbound {
    pub(crate) fn new(version: Version) -> Self {
        let receive_maximum = if version.is_v5() { RECEIVE_MAXIMUM } else { u16::MAX };
        Self {
            owed: VecDeque::new(),
            first: 0,
            at_least_once: 0,
            qos2: InboundQos2::new(receive_maximum),
            aliases: None,
        }
    }

    /// Whether the client waits for an acknowledgement.
    pub(crate) fn is_owing(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Takes in a PUBLISH.
    pub(crate) fn publish(
        &mut self,
        publish: Publish,
        link: Link,
        durable: bool,
        limits: &Limits,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ending> {
        if !publish.subscription_ids.is_empty() {
            let why = "a client sent a subscription identifier"; // [MQTT-3.3.4-6]
            return Err(Ending::fault(ReasonCode::ProtocolError, why));
        }
        if publish.payload.len() > limits.message_bytes {
            let why = format!("payload above {} bytes", limits.message_bytes);
            return Err(Ending::Fault(ReasonCode::PacketTooLarge, why));
        }
        let well_formed = publish.payload_is_as_indicated();
        let Publish { assurance, retain, topic, topic_alias, properties, payload, .. } = publish;
        let Ok(to) = self.address(topic.into_bytes(), topic_alias)? else {
            return self.refuse(assurance, ReasonCode::TopicNameInvalid, link, turn);
        };
        if !well_formed {
            return self.refuse(assurance, ReasonCode::PayloadFormatInvalid, link, turn);
        }
        if will::is_reserved(&to) {
            return self.forbid(assurance, link, turn);
        }
        let unix_ms = turn.now.unix_ms;
        let qos = assurance.qos();
        let record = fields::record(payload, qos, retain, properties.as_deref(), unix_ms);
        let mut request = protocol::Publish::new(to, record);
        let id = match assurance {
            Assurance::AtMostOnce => {
                turn.out.tell(Request::Publish(request));
                return Ok(());
            }
            Assurance::AtLeastOnce(id) => {
                if !self.qos2.has_room(self.at_least_once) {
                    return Err(exceeded(ReceiveMaximumExceeded));
                }
                id
            }
            Assurance::ExactlyOnce(id) => {
                match self.qos2.publish(id, self.at_least_once).map_err(exceeded)? {
                    Receipt::Append => {}
                    Receipt::Wait => return Ok(()),
                    Receipt::Repeat => {
                        self.owe(id, qos, Some(ReasonCode::Success));
                        self.acknowledge(link, turn);
                        return Ok(());
                    }
                }
                request.remember = durable.then(|| resume::inbound_key(id));
                id
            }
        };
        request.wait = Wait::Stored;
        // A version that cannot say no must not lie either: its acknowledgement waits for room.
        request.parks = !link.version.is_v5();
        let number = self.owe(id, qos, None);
        turn.out.ask(Asked::Publish.token(number), Request::Publish(request));
        Ok(())
    }

    /// The address of a topic name, or of the alias in its place; the inner error is a topic that
    /// is right in MQTT and no subject here.
    fn address(
        &mut self,
        topic: Bytes,
        alias: Option<NonZeroU16>,
    ) -> Result<Result<Address, Invalid>, Ending> {
        let Some(alias) = alias else { return Ok(fields::address(&topic)) };
        let aliases = self
            .aliases
            .get_or_insert_with(|| Box::new([const { None }; TOPIC_ALIAS_MAXIMUM as usize]));
        let Some(slot) = alias_slot(aliases, alias) else {
            let why = format!("topic alias above {TOPIC_ALIAS_MAXIMUM}"); // [MQTT-3.3.2-9]
            return Err(Ending::Fault(ReasonCode::TopicAliasInvalid, why));
        };
        if topic.is_empty() {
            return match slot {
                Some(address) => Ok(Ok(address.clone())),
                None => Err(Ending::fault(ReasonCode::ProtocolError, "unknown topic alias")),
            };
        }
        let address = fields::address(&Bytes::copy_from_slice(&topic));
        *slot = address.clone().ok();
        Ok(address)
    }

    /// Answers a message that cannot be taken as it is.
    fn refuse(
        &mut self,
        assurance: Assurance,
        code: ReasonCode,
        link: Link,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ending> {
        match assurance.packet_id() {
            Some(id) if link.version.is_v5() => {
                self.owe(id, assurance.qos(), Some(code));
                self.acknowledge(link, turn);
                Ok(())
            }
            Some(_) | None => Err(Ending::Fault(code, format!("PUBLISH refused: {code:?}"))),
        }
    }

    /// Answers a message that the client may not publish: where its version has no word for that,
    /// as if it had been published [MQTT311-3.3.5-2].
    fn forbid(
        &mut self,
        assurance: Assurance,
        link: Link,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ending> {
        if let Some(id) = assurance.packet_id() {
            if assurance.qos() == Qos::ExactlyOnce && !link.version.is_v5() {
                match self.qos2.publish(id, self.at_least_once).map_err(exceeded)? {
                    Receipt::Append => self.qos2.confirm(id),
                    Receipt::Wait => return Ok(()),
                    Receipt::Repeat => {}
                }
            }
            self.owe(id, assurance.qos(), Some(ReasonCode::NotAuthorized));
            self.acknowledge(link, turn);
        }
        Ok(())
    }

    fn owe(&mut self, id: PacketId, qos: Qos, code: Option<ReasonCode>) -> u64 {
        let number = self.first + self.owed.len() as u64;
        self.owed.push_back(Owed { id, qos, code });
        self.at_least_once += usize::from(qos == Qos::AtLeastOnce);
        number
    }

    /// The broker has answered for the message of this number.
    pub(crate) fn answered(
        &mut self,
        number: u64,
        reply: &Reply,
        link: Link,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ending> {
        let place = usize::try_from(number.wrapping_sub(self.first)).ok();
        let Some(owed) = place.and_then(|place| self.owed.get_mut(place)) else {
            debug_assert!(false, "an answer to nothing: {reply:?}");
            return Ok(());
        };
        let code = match answer(reply, link.version) {
            Answer::Code(code) => code,
            Answer::End(ending) => return Err(ending),
        };
        owed.code = Some(code);
        let id = owed.id;
        if owed.qos == Qos::ExactlyOnce {
            if code.is_failure() && link.version.is_v5() {
                self.qos2.refuse(id);
            } else {
                self.qos2.confirm(id);
            }
        }
        self.acknowledge(link, turn);
        Ok(())
    }

    /// Sends what is owed, as far as it is known without a gap.
    fn acknowledge(&mut self, link: Link, turn: &mut Turn<'_>) {
        while let Some(&Owed { id, qos, code: Some(code) }) = self.owed.front() {
            self.owed.pop_front();
            self.first += 1;
            let ack = Ack::new(id, code);
            if qos == Qos::AtLeastOnce {
                self.at_least_once -= 1;
                link.send(&Packet::PubAck(ack), turn);
            } else {
                link.send(&Packet::PubRec(ack), turn);
            }
        }
        if self.owed.is_empty() && self.owed.capacity() > OWED_KEPT {
            self.owed.shrink_to(OWED_KEPT);
        }
    }

    /// Takes in a PUBREL. Of a durable session's message the receipt goes first: PUBCOMP lets the
    /// client use the identifier for another message.
    pub(crate) fn release(&mut self, id: PacketId, link: Link, durable: bool, turn: &mut Turn<'_>) {
        if !self.qos2.release(id) {
            let unknown = Ack::new(id, ReasonCode::PacketIdentifierNotFound);
            return link.send(&Packet::PubComp(unknown), turn);
        }
        if durable {
            let rows = vec![(resume::inbound_key(id), None)];
            let token = Asked::Released.token(u64::from(id.get()));
            turn.out.ask(token, Request::Remember(Remember { rows }));
        } else {
            self.released(id, link, turn);
        }
    }

    /// Nothing is left of a released message.
    pub(crate) fn released(&mut self, id: PacketId, link: Link, turn: &mut Turn<'_>) {
        link.send(&Packet::PubComp(Ack::new(id, ReasonCode::Success)), turn);
    }
}

fn exceeded(ReceiveMaximumExceeded: ReceiveMaximumExceeded) -> Ending {
    Ending::fault(ReasonCode::ReceiveMaximumExceeded, "more in flight than the receive maximum")
}

/// The acknowledgement for what the broker says.
fn answer(reply: &Reply, version: Version) -> Answer {
    if let Reply::Published(Published { matched, .. }) = reply {
        let nobody = ReasonCode::NoMatchingSubscribers;
        return Answer::Code(if *matched == 0 { nobody } else { ReasonCode::Success });
    }
    let cause = if let Reply::Refused(refusal) = reply { Cause::of(refusal) } else { Cause::Other };
    let (code, why) = match cause {
        Cause::Right => return Answer::Code(ReasonCode::NotAuthorized),
        Cause::Nobody => return Answer::Code(ReasonCode::NoMatchingSubscribers),
        Cause::Limit => (ReasonCode::QuotaExceeded, "over a limit"),
        Cause::Storage => (ReasonCode::UnspecifiedError, "storage takes no writes"),
        Cause::Name => (ReasonCode::TopicNameInvalid, "the topic is not accepted"),
        Cause::Other => (ReasonCode::ImplementationSpecific, "refused"),
    };
    if version.is_v5() {
        Answer::Code(code)
    } else {
        // Older versions cannot say no: a PUBACK would be a lie [MQTT311-3.3.5-2].
        Answer::End(Ending::Refused(code, why))
    }
}
