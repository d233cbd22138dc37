//! PUBLISH to the client: the window, packet identifiers, and the sender's half of QoS 1 and 2.
//!
//! ```text
//! QoS 1            Published --PUBACK--> done
//! QoS 2  Storing -> Published --PUBREC--> Releasing -> Released --PUBCOMP--> done
//!          '- the row is written first -'    '- and changed -'
//! resumed          Expected --delivered again--> Waiting --room--> Published
//! ```
//!
//! Rows are written for stored messages of durable sessions only: after a crash they say which
//! packet identifier a message was sent under, and whether the client has it. Everything else goes
//! through the states without waiting.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use model::fields::Origin;
use mqtt_codec::publish::Assurance;
use mqtt_codec::{Ack, Packet, PacketId, PublishParts, Qos, ReasonCode};
use protocol::{Delivery, Message, Remember, Request, Tag};

use crate::fields;
use crate::resume::{self, Parting};
use crate::subscriptions::Shape;
use crate::turn::{Asked, Link, Turn};

/// Most QoS 1 and 2 messages in flight to a client, whatever it would take.
pub(crate) const WINDOW_MAX: u16 = 256;

/// Places to this number are kept while nothing is in flight.
const PLACES_KEPT: usize = 4;

/// Payloads to this length are encoded with their packet for all receivers; longer ones are shared
/// by themselves anyway.
const SHARED_MAX: usize = 1024;

/// The form of an MQTT 5 packet without anything of its receiver's in it; the lowest bit is RETAIN.
const FORM: u32 = (Origin::Mqtt as u32) << 24 | 5 << 8;

/// One message on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    message: Arc<Message>,
    tag: Option<Tag>,
    shape: Shape,
    dup: bool,
}

/// One packet identifier in use.
#[derive(Debug)]
pub(crate) struct InFlight {
    id: PacketId,
    step: Step,
    qos: Qos,
    tag: Option<Tag>,
    /// It comes from an earlier connection.
    inherited: bool,
    /// Its delivery has come to this one.
    met: bool,
    /// The message, while it may have to be sent again and nobody else has it.
    outgoing: Option<Outgoing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Sent by an earlier connection; the broker has yet to deliver it again.
    Expected,
    /// To be sent again under its old identifier.
    Waiting,
    /// Its row is being written.
    Storing,
    /// Sent.
    Published,
    /// The client has it; its row is being changed.
    Releasing,
    /// The client has it, and has been told to let go.
    Released,
}

impl Step {
    /// Whether it takes a place in the client's window.
    const fn is_open(self) -> bool {
        match self {
            Self::Storing | Self::Published | Self::Releasing | Self::Released => true,
            Self::Expected | Self::Waiting => false,
        }
    }
}

/// The sending half of a connection.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// The client's Receive Maximum, or ours.
    window: u16,
    last_id: u16,
    /// Of those in flight, how many take a place in the window.
    open: u16,
    /// Of those in flight, how many come from an earlier connection.
    inherited: usize,
    /// Rows are written.
    durable: bool,
    /// In the order of their first sending.
    in_flight: VecDeque<InFlight>,
    /// Done with before their delivery came, which may still be on its way.
    passed: Vec<Tag>,
    /// Waiting for room.
    pending: VecDeque<Outgoing>,
    /// Live messages among them.
    live: usize,
}

/// Writes one PUBLISH; `false` if the client takes no such packet.
fn write(
    outgoing: &Outgoing,
    assurance: Assurance,
    dup: bool,
    link: Link,
    turn: &mut Turn<'_>,
) -> bool {
    let Outgoing { message, shape, .. } = outgoing;
    send(message, shape, assurance, dup, link, turn)
}

/// Writes a message as a PUBLISH; `false` if MQTT or the client takes no such packet.
fn send(
    message: &Message,
    shape: &Shape,
    assurance: Assurance,
    dup: bool,
    link: Link,
    turn: &mut Turn<'_>,
) -> bool {
    let Some(subject) = message.subject().filter(|subject| !subject.is_none()) else {
        return false;
    };
    let payload = message.record.value.as_ref();
    if is_shared(message, shape, assurance, link) {
        let form = FORM | u32::from(shape.retain);
        let frame = message.frames.get(form, || {
            let properties = fields::properties(message, turn.now.unix_ms);
            let parts = PublishParts {
                retain: shape.retain,
                properties: properties.as_deref(),
                ..PublishParts::new(subject.as_bytes(), 0)
            };
            let shared = parts.encode_shared(link.version, payload.map_or(&[], |own| &own[..]));
            shared.map_or_else(|_| Bytes::new(), |shared| shared.frame().clone())
        });
        let fits = !frame.is_empty() && frame.len() as u64 <= u64::from(link.packet_bytes_max);
        if fits {
            turn.out.frame(&frame);
        }
        return fits;
    }
    let properties = match link.version.is_v5() {
        true => fields::properties(message, turn.now.unix_ms),
        false => None,
    };
    let parts = PublishParts {
        dup,
        assurance,
        retain: shape.retain,
        subscription_ids: &shape.ids,
        properties: properties.as_deref(),
        ..PublishParts::new(subject.as_bytes(), payload.map_or(0, Bytes::len))
    };
    link.publish(&parts, payload, turn)
}

/// Whether all MQTT 5 receivers of a message get the same bytes, and making them is worth keeping:
/// translating properties costs more than everything else about a small packet.
fn is_shared(message: &Message, shape: &Shape, assurance: Assurance, link: Link) -> bool {
    let record = &message.record;
    let (own, payload) = (record.properties.as_deref(), record.value.as_ref());
    link.version.is_v5()
        && assurance == Assurance::AtMostOnce
        && shape.ids.is_empty()
        && (own.is_some() || !record.headers.is_empty() || record.key.is_some())
        && own.is_none_or(|own| own.expires_at_ms.is_none() && own.reply_to.is_none())
        && payload.is_none_or(|payload| payload.len() <= SHARED_MAX)
}

impl Outbound {
    pub(crate) fn new(window: u16, durable: bool) -> Self {
        Self {
            window,
            last_id: 0,
            open: 0,
            inherited: 0,
            durable,
            in_flight: VecDeque::new(),
            passed: Vec::new(),
            pending: VecDeque::new(),
            live: 0,
        }
    }

    /// Sends a delivery, or keeps it until there is room; at most `live_max` live ones are kept.
    pub(crate) fn deliver(
        &mut self,
        delivery: &Delivery,
        shape: Shape,
        live_max: usize,
        link: Link,
        turn: &mut Turn<'_>,
    ) {
        if self.has_passed(delivery.tag) {
            return;
        }
        if shape.qos == Qos::AtMostOnce {
            send(&delivery.message, &shape, Assurance::AtMostOnce, false, link, turn);
            if let Some(tag) = delivery.tag {
                turn.settle(tag);
            }
            return;
        }
        let outgoing = Outgoing {
            message: Arc::clone(&delivery.message),
            tag: delivery.tag,
            dup: delivery.redelivered && shape.qos == Qos::AtLeastOnce,
            shape,
        };
        // Asked of the tags themselves: after a crash nobody knows what was delivered before.
        let again = delivery.tag.is_some() && self.inherited > 0;
        if again
            && let Some(known) = self.in_flight.iter_mut().find(|known| known.tag == delivery.tag)
        {
            known.met = true;
            if known.step == Step::Expected {
                known.step = Step::Waiting;
                known.qos = outgoing.shape.qos;
                known.outgoing = Some(outgoing);
            }
        } else if outgoing.tag.is_none() && self.live >= live_max {
            // A session that keeps nothing for its client holds this much, and no more.
            return;
        } else {
            self.live += usize::from(outgoing.tag.is_none());
            self.pending.push_back(outgoing);
        }
        self.pump(link, turn);
    }

    /// Sends what there is room for.
    fn pump(&mut self, link: Link, turn: &mut Turn<'_>) {
        while self.open < self.window {
            if self.in_flight.len() > usize::from(self.open)
                && let Some(place) =
                    self.in_flight.iter().position(|sent| sent.step == Step::Waiting)
            {
                self.send_again(place, link, turn);
                continue;
            }
            let Some(outgoing) = self.pending.pop_front() else { break };
            self.live -= usize::from(outgoing.tag.is_none());
            if outgoing.message.record.is_expired(turn.now.unix_ms) {
                // It may have waited long [MQTT-3.3.2-5].
                outgoing.tag.into_iter().for_each(|tag| turn.settle(tag));
                continue;
            }
            self.start(outgoing, link, turn);
        }
        if self.pending.is_empty() && self.pending.capacity() > PLACES_KEPT {
            self.pending.shrink_to(PLACES_KEPT);
        }
    }

    /// A packet identifier that is not in use [MQTT-2.2.1-4].
    fn free_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = PacketId::new(self.last_id)
                && self.find(id).is_none()
            {
                return id;
            }
        }
    }

    fn find(&self, id: PacketId) -> Option<usize> {
        self.in_flight.iter().position(|sent| sent.id == id)
    }

    fn assurance(id: PacketId, qos: Qos) -> Assurance {
        match qos {
            Qos::AtMostOnce => Assurance::AtMostOnce,
            Qos::AtLeastOnce => Assurance::AtLeastOnce(id),
            Qos::ExactlyOnce => Assurance::ExactlyOnce(id),
        }
    }

    fn start(&mut self, outgoing: Outgoing, link: Link, turn: &mut Turn<'_>) {
        let (id, qos, tag) = (self.free_id(), outgoing.shape.qos, outgoing.tag);
        let row = tag.filter(|_| qos == Qos::ExactlyOnce && self.durable);
        let step = if let Some(tag) = row {
            let rows = vec![resume::outbound_row(id, tag, false)];
            let token = Asked::Sending.token(u64::from(id.get()));
            turn.out.ask(token, Request::Remember(Remember { rows }));
            Step::Storing
        } else if write(&outgoing, Self::assurance(id, qos), outgoing.dup, link, turn) {
            Step::Published
        } else {
            // As if it had been delivered [MQTT-3.1.2-25].
            tag.into_iter().for_each(|tag| turn.settle(tag));
            return;
        };
        let kept = step == Step::Storing || (self.durable && tag.is_none());
        let outgoing = kept.then_some(outgoing);
        self.in_flight.push_back(InFlight {
            id,
            step,
            qos,
            tag,
            inherited: false,
            met: true,
            outgoing,
        });
        self.open += 1;
    }

    fn send_again(&mut self, place: usize, link: Link, turn: &mut Turn<'_>) {
        let Some(sent) = self.in_flight.get_mut(place) else { return };
        sent.step = Step::Published;
        self.open += 1;
        let assurance = Self::assurance(sent.id, sent.qos);
        // [MQTT-3.3.1-1]
        let done = match &sent.outgoing {
            Some(outgoing) => write(outgoing, assurance, true, link, turn),
            None => false,
        };
        if sent.tag.is_some() {
            sent.outgoing = None;
        }
        if !done {
            self.finish(place, turn);
        }
    }

    /// The row of a message is written: it can be sent.
    pub(crate) fn stored(&mut self, id: PacketId, link: Link, turn: &mut Turn<'_>) {
        let Some(place) = self.find(id) else { return };
        let Some(sent) = self.in_flight.get_mut(place) else { return };
        if sent.step != Step::Storing {
            return;
        }
        sent.step = Step::Published;
        let done = match sent.outgoing.take() {
            Some(outgoing) => write(&outgoing, Assurance::ExactlyOnce(id), false, link, turn),
            None => false,
        };
        if !done {
            self.finish(place, turn);
            self.pump(link, turn);
        }
    }

    /// Takes in a PUBACK.
    pub(crate) fn acknowledged(&mut self, id: PacketId, link: Link, turn: &mut Turn<'_>) {
        let Some(place) = self.find(id) else { return };
        if self.in_flight.get(place).is_some_and(|sent| sent.qos == Qos::AtLeastOnce) {
            self.finish(place, turn);
            self.pump(link, turn);
        }
    }

    /// Takes in a PUBREC.
    pub(crate) fn received(&mut self, ack: &Ack, link: Link, turn: &mut Turn<'_>) {
        let id = ack.packet_id;
        let place = self.find(id);
        let sent = place.and_then(|place| self.in_flight.get_mut(place));
        let Some((place, sent)) = place.zip(sent).filter(|(_, sent)| sent.is_received()) else {
            let unknown = Ack::new(id, ReasonCode::PacketIdentifierNotFound);
            return link.send(&Packet::PubRel(unknown), turn);
        };
        match sent.step {
            Step::Published | Step::Expected | Step::Waiting if ack.code.is_failure() => {
                self.finish(place, turn); // [MQTT-4.3.3-4]
                self.pump(link, turn);
            }
            Step::Published | Step::Expected | Step::Waiting => {
                self.open += u16::from(!sent.step.is_open());
                sent.outgoing = None;
                sent.step = Step::Releasing;
                match sent.tag.filter(|_| self.durable) {
                    Some(tag) => {
                        let rows = vec![resume::outbound_row(id, tag, true)];
                        let token = Asked::Received.token(u64::from(id.get()));
                        turn.out.ask(token, Request::Remember(Remember { rows }));
                    }
                    None if self.is_first_releasing(id) => self.release(id, link, turn),
                    None => {} // It follows the one before it.
                }
            }
            Step::Released => link.send(&Packet::PubRel(Ack::new(id, ReasonCode::Success)), turn),
            Step::Storing | Step::Releasing => {} // PUBREL follows.
        }
    }

    fn is_first_releasing(&self, id: PacketId) -> bool {
        let mut releasing = self.in_flight.iter().filter(|sent| sent.step == Step::Releasing);
        releasing.next().is_some_and(|first| first.id == id)
    }

    /// The row says that the client has the message: let go of it, and of those that were received
    /// after it and have no row to wait for [MQTT-4.6.0-4].
    pub(crate) fn release(&mut self, id: PacketId, link: Link, turn: &mut Turn<'_>) {
        let Some(place) = self.find(id) else { return };
        let durable = self.durable;
        for sent in self.in_flight.iter_mut().skip(place) {
            if sent.step != Step::Releasing {
                continue;
            }
            if sent.id != id && durable && sent.tag.is_some() {
                break;
            }
            sent.step = Step::Released;
            link.send(&Packet::PubRel(Ack::new(sent.id, ReasonCode::Success)), turn);
        }
    }

    /// Takes in a PUBCOMP.
    pub(crate) fn completed(&mut self, id: PacketId, link: Link, turn: &mut Turn<'_>) {
        let Some(place) = self.find(id) else { return };
        if self.in_flight.get(place).is_some_and(|sent| sent.step == Step::Released) {
            self.finish(place, turn);
            self.pump(link, turn);
        }
    }

    /// A message that is not to be sent, or not again: with it goes the row of an earlier connection
    /// that may have sent it.
    pub(crate) fn give_up(&mut self, tag: Tag, turn: &mut Turn<'_>) {
        if self.has_passed(Some(tag)) {
            return;
        }
        let is_it = |sent: &InFlight| sent.inherited && sent.tag == Some(tag);
        let Some(place) = self.in_flight.iter().position(is_it) else {
            return turn.settle(tag);
        };
        let Some(sent) = self.in_flight.get_mut(place) else { return };
        sent.met = true;
        if sent.step == Step::Expected {
            self.finish(place, turn);
        }
    }

    /// Whether this delivery is of a message that is done with.
    fn has_passed(&mut self, tag: Option<Tag>) -> bool {
        let place = self.passed.iter().position(|passed| Some(*passed) == tag);
        place.map(|place| self.passed.swap_remove(place)).is_some()
    }

    /// Frees a packet identifier; the message is done with.
    fn finish(&mut self, place: usize, turn: &mut Turn<'_>) {
        let Some(sent) = self.in_flight.remove(place) else { return };
        self.open -= u16::from(sent.step.is_open());
        self.inherited -= usize::from(sent.inherited);
        self.passed.extend(sent.tag.filter(|_| !sent.met));
        if let Some(tag) = sent.tag {
            turn.settle(tag);
            if self.durable && sent.qos == Qos::ExactlyOnce {
                turn.forget(resume::outbound_key(sent.id));
            }
        }
        if self.in_flight.is_empty() && self.in_flight.capacity() > PLACES_KEPT {
            self.in_flight.shrink_to(PLACES_KEPT);
        }
    }

    /// What the next connection of the session needs of this one.
    pub(crate) fn part(&mut self) -> Parting {
        let in_flight = self.in_flight.drain(..).filter_map(InFlight::part).collect();
        let pending = self.pending.drain(..).filter(|pending| pending.tag.is_none()).collect();
        (self.open, self.live, self.inherited) = (0, 0, 0);
        Parting { in_flight, pending, last_id: self.last_id }
    }

    /// Takes over from an earlier connection, and from the rows where they know more.
    pub(crate) fn resume(
        &mut self,
        parting: Parting,
        mut rows: Vec<(PacketId, Tag, bool)>,
        link: Link,
        turn: &mut Turn<'_>,
    ) {
        self.last_id = parting.last_id;
        self.in_flight = parting.in_flight.into();
        self.live = parting.pending.len();
        self.pending = parting.pending;
        // Identifiers begin again after a crash, so their order says nothing: places do.
        rows.sort_unstable_by_key(|(_, tag, _)| (tag.source, tag.place));
        if self.last_id == 0 {
            // After a crash. An identifier that is still in use and ahead would be given again as soon
            // as it is free, and the row of the new message would go with that of the old one.
            self.last_id = rows.iter().map(|(id, ..)| id.get()).max().unwrap_or(0);
        }
        for (id, tag, released) in rows {
            if self.find(id).is_none() {
                let step = if released { Step::Released } else { Step::Expected };
                let (tag, qos) = (Some(tag), Qos::ExactlyOnce);
                let (inherited, met) = (true, false);
                let sent = InFlight { id, step, qos, tag, inherited, met, outgoing: None };
                self.in_flight.push_back(sent);
            }
        }
        self.inherited = self.in_flight.len();
        // [MQTT-4.4.0-1]
        for sent in self.in_flight.iter().filter(|sent| sent.step == Step::Released) {
            self.open += 1;
            link.send(&Packet::PubRel(Ack::new(sent.id, ReasonCode::Success)), turn);
        }
        self.pump(link, turn);
    }
}

impl InFlight {
    /// Whether a PUBREC can be for it.
    fn is_received(&self) -> bool {
        self.qos == Qos::ExactlyOnce
    }

    /// The state that the next connection begins with.
    fn part(mut self) -> Option<Self> {
        self.step = match self.step {
            // Not sent; if its row was written, that comes back with the memory.
            Step::Storing => return None,
            Step::Releasing | Step::Released => Step::Released,
            Step::Expected | Step::Waiting | Step::Published if self.tag.is_some() => {
                self.outgoing = None;
                Step::Expected
            }
            Step::Expected | Step::Waiting | Step::Published => Step::Waiting,
        };
        (self.inherited, self.met) = (true, false);
        Some(self)
    }
}
