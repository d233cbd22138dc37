//! SUBSCRIBE and UNSUBSCRIBE: one request for each filter, one answer when all are in.

use bytes::{Bytes, BytesMut};
use model::limits::Limits;
use mqtt_codec::{
    Packet, PacketId, Qos, ReasonCode, RetainHandling, SubAck, Subscribe, Subscription,
    SubscriptionId, UnsubAck, Unsubscribe,
};
use protocol::{Refusal, Remember, Reply, Request, Start};

use crate::refusal::Cause;
use crate::resume;
use crate::subscriptions::{self, Grant, Subscriptions, Wanted};
use crate::turn::{Asked, Ending, Link, Turn};

/// An answer that waits for the broker's.
#[derive(Debug)]
struct Answer {
    number: u32,
    packet_id: PacketId,
    subscribe: bool,
    items: Vec<Item>,
    /// Requests in flight.
    left: usize,
}

#[derive(Debug)]
struct Item {
    code: ReasonCode,
    /// A subscription that goes again if it is refused.
    new: Option<u32>,
}

/// All answers that wait; nearly always none or one.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    waiting: Vec<Answer>,
    next: u32,
}

const fn granted(qos: Qos) -> ReasonCode {
    match qos {
        Qos::AtMostOnce => ReasonCode::Success,
        Qos::AtLeastOnce => ReasonCode::GrantedQos1,
        Qos::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}

/// What the rest of a connection is, seen from here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) link: Link,
    /// The session outlives its connection.
    pub(crate) durable: bool,
    pub(crate) limits: &'a Limits,
}

type Rows = Vec<(Bytes, Option<Bytes>)>;

impl Answers {
    fn token(number: u32, item: usize) -> u64 {
        // The codec's `filters_max` keeps items below 2^16.
        u64::from(number) << 16 | item as u64 & 0xFFFF
    }

    /// Takes in a SUBSCRIBE.
    pub(crate) fn subscribe(
        &mut self,
        packet: &Subscribe,
        table: &mut Subscriptions,
        scope: Scope<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ending> {
        let shared_and_no_local = |subscription: &Subscription| {
            subscription.options.no_local
                && subscriptions::is_shared(subscription.filter.as_bytes())
        };
        if packet.subscriptions.iter().any(shared_and_no_local) {
            let why = "no local on a shared subscription"; // [MQTT-3.8.3-4]
            return Err(Ending::fault(ReasonCode::ProtocolError, why));
        }
        let id = packet.properties.as_ref().and_then(|own| own.subscription_id);
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let (mut items, mut rows, mut left) = (Vec::new(), Rows::new(), 0);
        for subscription in &packet.subscriptions {
            let item = match request(subscription, id, table, scope, &mut rows) {
                Ok((request, item)) => {
                    let token = Asked::Item.token(Self::token(number, items.len()));
                    turn.out.ask(token, request);
                    left += 1;
                    item
                }
                Err(code) => Item { code, new: None },
            };
            items.push(item);
        }
        let answer = Answer { number, packet_id: packet.packet_id, subscribe: true, items, left };
        self.wait(answer, rows, scope.link, turn);
        Ok(())
    }

    /// Takes in an UNSUBSCRIBE.
    pub(crate) fn unsubscribe(
        &mut self,
        packet: &Unsubscribe,
        table: &mut Subscriptions,
        scope: Scope<'_>,
        turn: &mut Turn<'_>,
    ) {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let (mut items, mut rows, mut left) = (Vec::new(), Rows::new(), 0);
        for filter in &packet.filters {
            let code = match table.remove(filter.as_bytes()) {
                Some((subscription, grant)) => {
                    if scope.durable && grant.qos == Qos::AtMostOnce {
                        rows.push((resume::subscription_key(subscription), None));
                    }
                    let token = Asked::Item.token(Self::token(number, items.len()));
                    turn.out.ask(token, Request::Unsubscribe(subscription));
                    left += 1;
                    ReasonCode::Success
                }
                None if Wanted::read(filter.as_bytes()).is_none() => ReasonCode::TopicFilterInvalid,
                None => ReasonCode::NoSubscriptionExisted,
            };
            items.push(Item { code, new: None });
        }
        let answer = Answer { number, packet_id: packet.packet_id, subscribe: false, items, left };
        self.wait(answer, rows, scope.link, turn);
    }

    fn wait(&mut self, mut answer: Answer, rows: Rows, link: Link, turn: &mut Turn<'_>) {
        if !rows.is_empty() {
            let token = Asked::Rows.token(Self::token(answer.number, 0));
            turn.out.ask(token, Request::Remember(Remember { rows }));
            answer.left += 1;
        }
        if answer.left == 0 {
            answer.send(link, turn);
        } else {
            self.waiting.push(answer);
        }
    }

    /// The broker has answered for an item, or for the rows of all (`None`).
    pub(crate) fn answered(
        &mut self,
        token: u64,
        is_item: bool,
        reply: &Reply,
        table: &mut Subscriptions,
        link: Link,
        turn: &mut Turn<'_>,
    ) {
        let (number, item) = (token >> 16, (token & 0xFFFF) as usize);
        let found = self.waiting.iter().position(|answer| u64::from(answer.number) == number);
        let Some(place) = found else {
            debug_assert!(false, "an answer to nothing: {reply:?}");
            return;
        };
        let Some(answer) = self.waiting.get_mut(place) else { return };
        answer.left -= 1;
        if answer.subscribe
            && is_item
            && let Reply::Refused(refusal) = reply
            && let Some(item) = answer.items.get_mut(item)
        {
            item.code = refused(refusal);
            if let Some(number) = item.new {
                table.remove_number(number);
            }
        }
        if answer.left == 0 {
            self.waiting.remove(place).send(link, turn);
            if self.waiting.is_empty() {
                self.waiting = Vec::new();
            }
        }
    }
}

impl Answer {
    fn send(self, link: Link, turn: &mut Turn<'_>) {
        let packet_id = self.packet_id;
        let codes = self.items.into_iter().map(|item| item.code).collect();
        link.send(
            &if self.subscribe {
                Packet::SubAck(SubAck { packet_id, codes, properties: None })
            } else {
                Packet::UnsubAck(UnsubAck { packet_id, codes, properties: None })
            },
            turn,
        );
    }
}

/// Enters a subscription in the table; what to ask of the broker, and what to answer if it agrees.
fn request(
    subscription: &Subscription,
    id: Option<SubscriptionId>,
    table: &mut Subscriptions,
    scope: Scope<'_>,
    rows: &mut Rows,
) -> Result<(Request, Item), ReasonCode> {
    let Subscription { filter, options } = subscription;
    let text = filter.as_bytes();
    let Some(wanted) = Wanted::read(text) else { return Err(ReasonCode::TopicFilterInvalid) };
    if table.len() >= scope.limits.subscriptions && !table.contains(text) {
        return Err(ReasonCode::QuotaExceeded);
    }
    let grant = Grant {
        qos: options.qos,
        retain_as_published: options.retain_as_published,
        no_local: options.no_local,
        id,
    };
    let (number, new) = table.insert(text, grant);
    let durable = scope.durable && grant.qos != Qos::AtMostOnce;
    if scope.durable && !durable {
        rows.push(resume::subscription_row(number, grant, text));
    } else if scope.durable && !new {
        rows.push((resume::subscription_key(number), None));
    }
    let start = match options.retain_handling {
        _ if wanted.group.is_some() => Start::Now,
        RetainHandling::Send => Start::LastValues,
        RetainHandling::SendIfNew => Start::LastValuesIfNew,
        RetainHandling::DoNotSend => Start::Now,
    };
    let request = subscribe(number, wanted, grant, durable, start);
    Ok((request, Item { code: granted(grant.qos), new: new.then_some(number) }))
}

/// The request for a subscription.
pub(crate) fn subscribe(
    number: u32,
    wanted: Wanted,
    grant: Grant,
    durable: bool,
    start: Start,
) -> Request {
    let mut memo = BytesMut::new();
    if durable {
        grant.write(&mut memo);
    }
    // Shares of one name and different filters are different shares [MQTT-4.8.2-1].
    let group = wanted.group.map(|name| {
        if durable { name } else { [&name[..], b"/", &wanted.filter.to_bytes()].concat().into() }
    });
    Request::Subscribe(protocol::Subscribe {
        number,
        space: wanted.space,
        filter: wanted.filter,
        group,
        durable,
        skip_own: grant.no_local,
        start,
        memo: memo.freeze(),
    })
}

fn refused(refusal: &Refusal) -> ReasonCode {
    match Cause::of(refusal) {
        Cause::Right => ReasonCode::NotAuthorized,
        Cause::Limit | Cause::Storage => ReasonCode::QuotaExceeded,
        Cause::Name => ReasonCode::TopicFilterInvalid,
        Cause::Nobody | Cause::Other => ReasonCode::UnspecifiedError,
    }
}
