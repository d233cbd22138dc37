//! Headers that the server adds: the history of a dead letter, and how often a message was handed
//! out before.
//!
//! | header | value |
//! |---|---|
//! | `x-death` | an array of tables, the latest death first: count, exchange, original-expiration, queue, reason, routing-keys, time |
//! | `x-first-death-*`, `x-last-death-*` | exchange, queue and reason of the first and of the latest one |
//! | `x-delivery-count` | an integer, 0 for the first delivery |
//!
//! Headers of these names that the publisher sent are replaced. As in RabbitMQ from 4.0 on, they do
//! not count as history.

use amqp_codec::table::ArrayWriter;
use amqp_codec::{Properties, PropertyView, Table, TableWriter, Value};
use bytes::Bytes;
use model::fields::Origin;
use model::record::{Cause, Death};
use protocol::Message;

use crate::bind;
use crate::exchange;
use crate::field_map;

const DEATH: &[u8] = b"x-death";
const DELIVERY_COUNT: &[u8] = b"x-delivery-count";

fn reason(cause: Cause) -> &'static [u8] {
    match cause {
        Cause::Rejected => b"rejected",
        Cause::Expired => b"expired",
        Cause::MaxLength => b"maxlen",
        Cause::DeliveryLimit => b"delivery_limit",
    }
}

fn deaths(message: &Message) -> &[Death] {
    message.record.properties.as_ref().map_or(&[], |properties| &properties.deaths)
}

/// The property block with the headers that the server adds, if it does.
pub(crate) fn marked(plain: Properties, message: &Message, deliveries: Option<u32>) -> Properties {
    let deaths = deaths(message);
    if deaths.is_empty() && deliveries.is_none() {
        return plain;
    }
    let view = plain.view();
    let mut headers = TableWriter::new();
    for (name, value) in view.headers.into_iter().flatten() {
        let replaced = (deliveries.is_some() && name == DELIVERY_COUNT)
            || (!deaths.is_empty() && is_history(name));
        if !replaced {
            headers.push(name, value);
        }
    }
    if let Some(deliveries) = deliveries {
        headers.push(DELIVERY_COUNT, Value::I64(i64::from(deliveries)));
    }
    let mut view = view;
    if !deaths.is_empty() {
        put_history(&mut headers, deaths);
        // The first death took it; what other protocols set anew is still to be seen.
        let native = message.record.properties.as_ref().and_then(|p| p.native.as_ref());
        if native.is_some_and(|native| native.protocol == Origin::Amqp) {
            view.expiration = None;
        }
    }
    let headers = headers.finish();
    PropertyView { headers: Some(headers.view()), ..view }.encode()
}

fn is_history(name: &[u8]) -> bool {
    name == DEATH || name.starts_with(b"x-first-death-") || name.starts_with(b"x-last-death-")
}

fn put_history(headers: &mut TableWriter, deaths: &[Death]) {
    let mut entries = ArrayWriter::new();
    for death in deaths {
        let entry = entry(death);
        entries.push(Value::Table(entry.view()));
    }
    headers.push(DEATH, Value::Array(entries.view()));
    let first = deaths.iter().find(|death| death.first).or(deaths.last());
    for (which, death) in [("first", first), ("last", deaths.first())] {
        let Some(death) = death else { continue };
        let (exchange, _) = exchange::origin(&death.address);
        for (what, value) in
            [("exchange", exchange), ("queue", &death.queue[..]), ("reason", reason(death.cause))]
        {
            let name = format!("x-{which}-death-{what}");
            headers.push(name.as_bytes(), Value::LongStr(value));
        }
    }
}

fn entry(death: &Death) -> Table {
    let (exchange, key) = exchange::origin(&death.address);
    let mut keys = ArrayWriter::new();
    keys.push(Value::LongStr(&key));
    let expiration = death.ttl_ms.map(|ttl| ttl.to_string());
    let mut entry = TableWriter::new()
        .with("count", Value::I64(i64::try_from(death.count).unwrap_or(i64::MAX)))
        .with("exchange", Value::LongStr(exchange));
    if let Some(expiration) = &expiration {
        entry.push(b"original-expiration", Value::LongStr(expiration.as_bytes()));
    }
    entry.push(b"queue", Value::LongStr(&death.queue));
    entry.push(b"reason", Value::LongStr(reason(death.cause)));
    entry.push(b"routing-keys", Value::Array(keys.view()));
    let seconds = u64::try_from(death.time_ms / 1000).unwrap_or(0);
    entry.push(b"time", Value::Timestamp(seconds));
    entry.finish()
}

/// What header bindings are matched against: the headers that a receiver would see.
pub(crate) fn attributes(message: &Message) -> Option<Vec<(Bytes, Bytes)>> {
    let native = message.record.properties.as_ref()?.native.as_ref()?;
    if native.protocol != Origin::Amqp {
        return None;
    }
    let block = marked(field_map::properties(message, 0), message, None);
    Some(block.view().headers.map(bind::attributes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use model::record::{Address, Record, Space};
    use model::render;

    use super::*;

    fn message(view: &PropertyView<'_>, deaths: Vec<Death>) -> Message {
        let mut record = field_map::to_record(&view.encode(), Bytes::from("x"), 0);
        record.properties_mut().deaths = deaths;
        Message::new(Address::Queue(Bytes::from("q")), record, None)
    }

    fn shown(message: &Message, deliveries: Option<u32>) -> Properties {
        marked(field_map::properties(message, 0), message, deliveries)
    }

    fn rejected() -> Death {
        let subject = render::amqp::parse(b"k.1").expect("a subject");
        Death {
            queue: Bytes::from("jobs"),
            cause: Cause::Rejected,
            count: 2,
            time_ms: 1_700_000_000_999,
            address: Address::Subject(Space::named("exchange/work"), subject),
            ttl_ms: Some(500),
            first: true,
        }
    }

    #[test]
    fn the_history_has_rabbitmqs_form() {
        let later = Death {
            queue: Bytes::from("retry"),
            cause: Cause::Expired,
            count: 1,
            time_ms: 1_700_000_001_000,
            address: Address::Queue(Bytes::from("retry")),
            ttl_ms: None,
            first: false,
        };
        let own = TableWriter::new()
            .with("mine", Value::I8(1))
            .with("x-death", Value::LongStr(b"made up"))
            .finish();
        let view = PropertyView {
            headers: Some(own.view()),
            expiration: Some(b"500"),
            delivery_mode: Some(2),
            ..PropertyView::default()
        };
        let block = shown(&message(&view, vec![later, rejected()]), None);
        let view = block.view();
        assert_eq!((view.expiration, view.delivery_mode), (None, Some(2)));
        let headers = view.headers.expect("headers");
        assert_eq!(headers.get("mine"), Some(Value::I8(1)));
        let text = |name: &str| match headers.get(name) {
            Some(Value::LongStr(text)) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(text("x-first-death-exchange"), "work");
        assert_eq!(text("x-first-death-queue"), "jobs");
        assert_eq!(text("x-first-death-reason"), "rejected");
        assert_eq!(text("x-last-death-queue"), "retry");
        let Some(Value::Array(entries)) = headers.get("x-death") else { panic!("x-death") };
        let tables: Vec<_> = entries.iter().collect();
        let Some(Value::Table(table)) = tables.get(1).copied() else { panic!("two tables") };
        let names: Vec<_> = table.iter().map(|(name, _)| name).collect();
        let expected: [&[u8]; 7] = [
            b"count",
            b"exchange",
            b"original-expiration",
            b"queue",
            b"reason",
            b"routing-keys",
            b"time",
        ];
        assert_eq!(names, expected);
        assert_eq!(table.get("count"), Some(Value::I64(2)));
        assert_eq!(table.get("time"), Some(Value::Timestamp(1_700_000_000)));
        assert_eq!(table.get("original-expiration"), Some(Value::LongStr(b"500")));
        let Some(Value::Array(keys)) = table.get("routing-keys") else { panic!("keys") };
        assert_eq!(keys.iter().collect::<Vec<_>>(), [Value::LongStr(b"k.1")]);
    }

    #[test]
    fn deliveries_are_counted_in_a_header_where_the_queue_tells() {
        let plain = message(&PropertyView::default(), Vec::new());
        assert_eq!(shown(&plain, None).view().headers, None);
        for count in [0, 3] {
            let block = shown(&plain, Some(count));
            let headers = block.view().headers.expect("headers");
            assert_eq!(headers.get("x-delivery-count"), Some(Value::I64(count.into())));
        }
    }

    #[test]
    fn header_bindings_see_the_history_of_messages_that_came_this_way() {
        let dead = message(&PropertyView::default(), vec![rejected()]);
        let attributes = attributes(&dead).expect("of this protocol");
        let names: Vec<_> = attributes.iter().map(|(name, _)| &name[..]).collect();
        assert!(names.contains(&&b"x-first-death-reason"[..]), "{names:?}");
        let subject = render::amqp::parse(b"a").expect("a subject");
        let stranger = Message::new(Address::shared(subject), Record::default(), None);
        assert_eq!(super::attributes(&stranger), None);
    }
}
