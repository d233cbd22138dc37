//! The AMQP column of the field map: properties and headers, to and from the parts of a record.
//!
//! The publisher's property block travels with the record as it came, so that AMQP receivers get
//! exactly that. What other protocols see is read from it once, at publish; what AMQP receivers see
//! of other protocols' messages is built at delivery.
//!
//! | header value | others see |
//! |---|---|
//! | long string, bytes | its bytes |
//! | integers, booleans, timestamps | decimal digits, `true` or `false` |
//! | void | null |
//! | floats, decimals, tables, arrays | nothing |

use amqp_codec::{Properties, PropertyView, ReplyCode, Table, TableRef, TableWriter, Value};
use bytes::Bytes;
use model::fields::{Field, Origin, row};
use model::record::{Address, Assurance, Header, Native, Record};
use protocol::Message;

use crate::exchange;
use crate::failure::{Failure, not_implemented};

/// Delivery mode of messages that are to last.
const PERSISTENT: u8 = 2;
/// The end of year 9999 in seconds since 1970: what lies beyond is no timestamp in seconds.
const SECONDS_MAX: u64 = 253_402_300_799;
/// Where answers go that a channel takes without a queue.
pub(crate) const DIRECT_REPLY_TO: &[u8] = b"amq.rabbitmq.reply-to";

fn key_header() -> &'static str {
    row(Field::Key).amqp.name
}

/// Whether the message is to last.
pub(crate) fn is_persistent(view: &PropertyView<'_>) -> bool {
    view.delivery_mode == Some(PERSISTENT)
}

/// What stands before publishing: what the properties may not say.
///
/// # Errors
///
/// 406 for an expiration, a user id or routing headers that cannot stand; 540 for routing headers.
pub(crate) fn check(view: &PropertyView<'_>, user: &[u8]) -> Result<(), Failure> {
    let precondition = |text: String| Err(Failure::new(ReplyCode::PreconditionFailed, text));
    if let Some(expiration) = view.expiration
        && expiration_ms(expiration).is_none()
    {
        let text = String::from_utf8_lossy(expiration);
        return precondition(format!("invalid expiration '{text}': not an unsigned integer"));
    }
    if let Some(user_id) = view.user_id
        && user_id != user
    {
        return precondition(format!(
            "user_id property set to '{}' but authenticated user was '{}'",
            String::from_utf8_lossy(user_id),
            String::from_utf8_lossy(user)
        ));
    }
    let Some(headers) = view.headers else { return Ok(()) };
    for name in ["CC", "BCC"] {
        let Some(value) = headers.get(name) else { continue };
        let keys = if let Value::Array(keys) = value {
            Some(keys.iter().collect::<Vec<_>>())
        } else {
            None
        };
        let text = |key: &Value<'_>| matches!(key, Value::LongStr(_));
        match keys {
            Some(keys) if keys.is_empty() => {}
            Some(keys) if keys.iter().all(text) => {
                return Err(not_implemented(format!("{name} header")));
            }
            Some(_) | None => {
                return precondition(format!("invalid {name} header: expected array of longstr"));
            }
        }
    }
    Ok(())
}

/// Milliseconds, as RabbitMQ reads them: digits alone.
fn expiration_ms(text: &[u8]) -> Option<i64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The record of a message. `reply_to` stands in for the property when it was rewritten.
pub(crate) fn to_record(properties: &Properties, body: Bytes, unix_ms: i64) -> Record {
    let view = properties.view();
    let block = properties.as_bytes();
    let shared = |part: &[u8]| block.slice_ref(part);
    let mut record = Record { value: Some(body), ..Record::default() };
    if is_persistent(&view) {
        record.assurance = Assurance::AtLeastOnce;
    }
    if let Some(seconds) = view.timestamp.filter(|seconds| *seconds <= SECONDS_MAX) {
        record.timestamp_ms = i64::try_from(seconds).unwrap_or_default() * 1000;
    }
    if let Some(headers) = view.headers {
        read_headers(headers, block, &mut record);
    }
    let neutral = record.properties_mut();
    neutral.content_type = view.content_type.map(shared);
    neutral.correlation = view.correlation_id.map(shared);
    neutral.message_id = view.message_id.map(shared);
    neutral.reply_to = view.reply_to.filter(|to| !to.is_empty()).map(exchange::default_address);
    neutral.priority = view.priority;
    neutral.expires_at_ms =
        view.expiration.and_then(expiration_ms).map(|ms| unix_ms.saturating_add(ms));
    neutral.native = Some(Native { protocol: Origin::Amqp, block: block.clone() });
    record
}

fn read_headers(headers: TableRef<'_>, block: &Bytes, record: &mut Record) {
    for (name, value) in headers {
        let value = match value {
            Value::LongStr(bytes) | Value::Blob(bytes) => Some(block.slice_ref(bytes)),
            Value::Void => None,
            Value::Bool(flag) => Some(Bytes::from_static(if flag { b"true" } else { b"false" })),
            Value::Timestamp(seconds) => Some(Bytes::from(seconds.to_string())),
            Value::I8(_)
            | Value::U8(_)
            | Value::I16(_)
            | Value::U16(_)
            | Value::I32(_)
            | Value::U32(_)
            | Value::I64(_) => value.as_integer().map(|number| Bytes::from(number.to_string())),
            Value::F32(_)
            | Value::F64(_)
            | Value::Decimal { .. }
            | Value::Array(_)
            | Value::Table(_) => continue,
        };
        if name == key_header().as_bytes() && record.key.is_none() && value.is_some() {
            record.key = value;
        } else {
            record.headers.push(Header { name: block.slice_ref(name), value });
        }
    }
}

/// The same block with another reply address.
pub(crate) fn with_reply_to(properties: &Properties, reply_to: &[u8]) -> Properties {
    PropertyView { reply_to: Some(reply_to), ..properties.view() }.encode()
}

/// The property block that an AMQP receiver sees.
pub(crate) fn properties(message: &Message, unix_ms: i64) -> Properties {
    let record = &message.record;
    let neutral = record.properties.as_deref();
    if let Some(native) = neutral.and_then(|neutral| neutral.native.as_ref())
        && native.protocol == Origin::Amqp
    {
        return Properties::from_stored(native.block.clone());
    }
    let headers = headers(record);
    let mut view = PropertyView {
        headers: headers.as_ref().map(Table::view),
        delivery_mode: (record.assurance > Assurance::AtMostOnce).then_some(PERSISTENT),
        timestamp: u64::try_from(record.timestamp_ms / 1000).ok().filter(|seconds| *seconds > 0),
        ..PropertyView::default()
    };
    let reply_to = reply_to(message);
    view.reply_to = reply_to.as_deref();
    let mut left = None;
    if let Some(neutral) = neutral {
        view.content_type = neutral.content_type.as_deref();
        view.correlation_id = neutral.correlation.as_deref();
        view.message_id = neutral.message_id.as_deref();
        view.priority = neutral.priority;
        left = neutral.expires_at_ms.map(|at| at.saturating_sub(unix_ms).max(0).to_string());
    }
    view.expiration = left.as_deref().map(str::as_bytes);
    view.encode()
}

/// Where an AMQP receiver answers to: through the default exchange.
fn reply_to(message: &Message) -> Option<Bytes> {
    if let Some(alias) = message.reply_alias.get() {
        return exchange::reply_text(alias);
    }
    match message.record.properties.as_ref()?.reply_to.as_ref()? {
        Address::Queue(name) => Some(name.clone()),
        Address::Subject(space, subject) if space.is_shared() => exchange::reply_text(subject),
        Address::Subject(..) => None,
    }
}

/// Headers as a table, of a repeated name the last; `None` for none.
fn headers(record: &Record) -> Option<Table> {
    if record.headers.is_empty() && record.key.is_none() {
        return None;
    }
    let mut table = TableWriter::new();
    if let Some(key) = &record.key {
        table.push(key_header().as_bytes(), Value::LongStr(key));
    }
    let mut seen = hashbrown::HashSet::<&[u8], foldhash::fast::RandomState>::default();
    let last: Vec<&Header> =
        record.headers.iter().rev().filter(|header| seen.insert(&header.name)).collect();
    for Header { name, value } in last.into_iter().rev() {
        let is_key = record.key.is_some() && name == key_header().as_bytes();
        if name.len() <= 255 && !is_key {
            table.push(name, value.as_deref().map_or(Value::Void, Value::LongStr));
        }
    }
    Some(table.finish())
}

#[cfg(test)]
mod tests {
    use amqp_codec::table::ArrayWriter;
    use model::subject::Subject;

    use super::*;

    fn message(record: Record) -> Message {
        let subject = Subject::from_tokens(["a"]).expect("a subject");
        Message::new(Address::shared(subject), record, None)
    }

    #[test]
    fn an_amqp_block_comes_back_byte_for_byte() {
        let nested = TableWriter::new().with("deep", Value::F32(1.5)).finish();
        let headers = TableWriter::new().with("t", Value::Table(nested.view())).finish();
        let view = PropertyView {
            headers: Some(headers.view()),
            delivery_mode: Some(1),
            kind: Some(b"order"),
            timestamp: Some(u64::MAX),
            ..PropertyView::default()
        };
        for block in [view.encode(), Properties::default()] {
            let record = to_record(&block, Bytes::from("x"), 0);
            assert_eq!(properties(&message(record), 5), block);
        }
    }

    #[test]
    fn every_field_of_the_map_is_read() {
        let headers = TableWriter::new()
            .with("x-kafka-key", Value::LongStr(b"k1"))
            .with("trace", Value::LongStr(&[0xff, 0]))
            .with("tries", Value::I8(3))
            .with("none", Value::Void)
            .with("ratio", Value::F64(0.5))
            .finish();
        let view = PropertyView {
            content_type: Some(b"text/plain"),
            headers: Some(headers.view()),
            delivery_mode: Some(2),
            priority: Some(7),
            correlation_id: Some(b"c"),
            reply_to: Some(b"answers"),
            expiration: Some(b"1500"),
            message_id: Some(b"m"),
            timestamp: Some(1_700_000_000),
            ..PropertyView::default()
        };
        let record = to_record(&view.encode(), Bytes::from("body"), 1_000);
        assert_eq!(record.key.as_deref(), Some(&b"k1"[..]));
        assert_eq!(record.assurance, Assurance::AtLeastOnce);
        assert_eq!(record.timestamp_ms, 1_700_000_000_000);
        let seen: Vec<_> =
            record.headers.iter().map(|h| (&h.name[..], h.value.as_deref())).collect();
        assert_eq!(
            seen,
            [(&b"trace"[..], Some(&[0xff, 0][..])), (b"tries", Some(b"3")), (b"none", None),]
        );
        let neutral = record.properties.expect("there are some");
        assert_eq!(neutral.content_type.as_deref(), Some(&b"text/plain"[..]));
        assert_eq!(neutral.reply_to, Some(Address::Queue(Bytes::from("answers"))));
        assert_eq!(neutral.correlation.as_deref(), Some(&b"c"[..]));
        assert_eq!(neutral.expires_at_ms, Some(2_500));
        assert_eq!(neutral.message_id.as_deref(), Some(&b"m"[..]));
        assert_eq!(neutral.priority, Some(7));
    }

    #[test]
    fn messages_of_other_protocols_show_what_the_map_says() {
        let header = |name: &str, value: Option<&str>| Header {
            name: Bytes::copy_from_slice(name.as_bytes()),
            value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
        };
        let record = Record {
            key: Some(Bytes::from("k")),
            headers: vec![
                header("a", Some("first")),
                header("b", None),
                header("a", Some("last")),
                header(&"n".repeat(256), Some("too long a name")),
            ],
            timestamp_ms: 1_700_000_000_123,
            assurance: Assurance::ExactlyOnce,
            properties: Some(Box::new(model::record::Properties {
                content_type: Some(Bytes::from("text/plain")),
                correlation: Some(Bytes::from(vec![b'c'; 256])),
                expires_at_ms: Some(9_000),
                reply_to: Some(Address::shared(
                    Subject::from_tokens(["answers", "here"]).expect("a subject"),
                )),
                ..model::record::Properties::default()
            })),
            ..Record::default()
        };
        let message = message(record);
        let block = properties(&message, 4_000);
        let view = block.view();
        let headers: Vec<_> = view.headers.expect("headers").iter().collect();
        assert_eq!(
            headers,
            [
                (&b"x-kafka-key"[..], Value::LongStr(b"k")),
                (b"b", Value::Void),
                (b"a", Value::LongStr(b"last")),
            ]
        );
        assert_eq!(view.content_type, Some(&b"text/plain"[..]));
        assert_eq!(view.correlation_id, None, "no short string");
        assert_eq!(view.expiration, Some(&b"5000"[..]));
        assert_eq!(view.delivery_mode, Some(2));
        assert_eq!(view.timestamp, Some(1_700_000_000));
        assert_eq!(view.reply_to, Some(&b"answers.here"[..]));
        let alias = Subject::from_canonical(Bytes::from("_INBOX/reply/1")).expect("a subject");
        message.reply_alias.get_or_init(|| alias);
        assert_eq!(properties(&message, 0).view().reply_to, Some(&b"_INBOX.reply.1"[..]));
    }

    #[test]
    fn what_rabbitmq_refuses_is_refused() {
        let code = |view: PropertyView<'_>| check(&view, b"guest").map_err(|f| f.code.number());
        let plain = PropertyView::default();
        assert_eq!(code(PropertyView { expiration: Some(b"soon"), ..plain }), Err(406));
        assert_eq!(code(PropertyView { expiration: Some(b"-1"), ..plain }), Err(406));
        assert_eq!(code(PropertyView { expiration: Some(b"10"), ..plain }), Ok(()));
        assert_eq!(code(PropertyView { user_id: Some(b"other"), ..plain }), Err(406));
        assert_eq!(code(PropertyView { user_id: Some(b"guest"), ..plain }), Ok(()));
        let text = TableWriter::new().with("CC", Value::LongStr(b"k")).finish();
        assert_eq!(code(PropertyView { headers: Some(text.view()), ..plain }), Err(406));
        let mut keys = ArrayWriter::new();
        keys.push(Value::LongStr(b"k"));
        let array = TableWriter::new().with("BCC", Value::Array(keys.view())).finish();
        assert_eq!(code(PropertyView { headers: Some(array.view()), ..plain }), Err(540));
    }
}
