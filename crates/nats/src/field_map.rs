//! The NATS column of the field map: the header block, to and from the parts of a record.
//!
//! A block that came through NATS goes to NATS receivers byte for byte. For the others its fields
//! are read once, at publish; a block that is none of ours to understand is carried to NATS
//! receivers only.

use bytes::Bytes;
use model::fields::{Field, Origin, row};
use model::record::{Header, Native, Record};
use nats_codec::headers::{HeaderBuilder, Headers};

/// The form under which the block is shared by all receivers of one message.
const FORM: u32 = (Origin::Nats as u32) << 24 | 1;

fn name(field: Field) -> &'static [u8] {
    row(field).nats.name.as_bytes()
}

/// Reads the header block of an HPUB into `record`; at most `headers_max` free headers.
pub(crate) fn read(record: &mut Record, block: &Bytes, headers_max: usize, unix_ms: i64) {
    if let Ok(parsed) = Headers::parse(block) {
        for (key, value) in parsed.fields {
            if !read_field(record, &key, &value, unix_ms) && record.headers.len() < headers_max {
                record.headers.push(Header { name: key, value: Some(value) });
            }
        }
    }
    let native = Native { protocol: Origin::Nats, block: block.clone() };
    record.properties_mut().native = Some(native);
}

/// Whether the header is the carrier of a field that the record has not got yet.
fn read_field(record: &mut Record, key: &Bytes, value: &Bytes, unix_ms: i64) -> bool {
    let is = |field| key.eq_ignore_ascii_case(name(field));
    if is(Field::Key) {
        return fill(&mut record.key, value.clone());
    }
    if is(Field::ContentType) {
        return fill(&mut record.properties_mut().content_type, value.clone());
    }
    if is(Field::Correlation) {
        return fill(&mut record.properties_mut().correlation, value.clone());
    }
    if is(Field::MessageId) {
        return fill(&mut record.properties_mut().message_id, value.clone());
    }
    if is(Field::Priority) {
        let Some(priority) = text(value).and_then(|text| text.parse().ok()) else { return false };
        return fill(&mut record.properties_mut().priority, priority);
    }
    if is(Field::Expiry) {
        let Some(ttl_ms) = text(value).and_then(ttl_ms) else { return false };
        return fill(&mut record.properties_mut().expires_at_ms, unix_ms.saturating_add(ttl_ms));
    }
    false
}

fn fill<T>(slot: &mut Option<T>, value: T) -> bool {
    let free = slot.is_none();
    if free {
        *slot = Some(value);
    }
    free
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// `Nats-TTL` (ADR-43): seconds, or a duration such as `1h30m` or `500ms`; anything else, `never`
/// among it, sets no expiry.
fn ttl_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<u32>() {
        return (seconds > 0).then(|| i64::from(seconds) * 1000);
    }
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit)?;
        let factor = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        total = total.checked_add(i64::from(number.parse::<u32>().ok()?).checked_mul(factor)?)?;
        rest = tail;
    }
    (total > 0).then_some(total)
}

/// The header block that a NATS receiver sees; empty if there is nothing to say.
pub(crate) fn block(message: &protocol::Message, unix_ms: i64) -> Bytes {
    let record = &message.record;
    if record.headers.is_empty() && record.key.is_none() && record.properties.is_none() {
        return Bytes::new();
    }
    if let Some(native) = native(record) {
        return native.clone();
    }
    if is_bare(record) {
        return Bytes::new();
    }
    message.frames.get(FORM, || build(record, unix_ms))
}

/// The block of a message that came through NATS.
fn native(record: &Record) -> Option<&Bytes> {
    let native = record.properties.as_ref()?.native.as_ref()?;
    (native.protocol == Origin::Nats).then_some(&native.block)
}

/// Whether the message came through NATS with a header block.
pub(crate) fn is_from_nats(record: &Record) -> bool {
    native(record).is_some()
}

/// Whether the only property is a reply address, which stands in the control line.
fn is_bare(record: &Record) -> bool {
    let bare = |properties: &model::record::Properties| {
        properties.content_type.is_none()
            && properties.correlation.is_none()
            && properties.expires_at_ms.is_none()
            && properties.message_id.is_none()
            && properties.priority.is_none()
    };
    record.headers.is_empty()
        && record.key.is_none()
        && record.properties.as_deref().is_none_or(bare)
}

fn build(record: &Record, unix_ms: i64) -> Bytes {
    let mut builder = HeaderBuilder::new();
    // What cannot stand in a block is left out, as each row of the map says.
    let mut put = |key: &[u8], value: &[u8]| builder.field(key, value).is_ok();
    if let Some(key) = &record.key {
        put(name(Field::Key), key);
    }
    if let Some(properties) = record.properties.as_deref() {
        let texts = [
            (Field::ContentType, &properties.content_type),
            (Field::Correlation, &properties.correlation),
            (Field::MessageId, &properties.message_id),
        ];
        for (field, value) in texts {
            if let Some(value) = value.as_ref().filter(|value| text(value).is_some()) {
                put(name(field), value);
            }
        }
        if let Some(expires) = properties.expires_at_ms {
            let left_ms = expires.saturating_sub(unix_ms).max(1);
            put(name(Field::Expiry), (left_ms.saturating_add(999) / 1000).to_string().as_bytes());
        }
        if let Some(priority) = properties.priority {
            put(name(Field::Priority), priority.to_string().as_bytes());
        }
    }
    for header in &record.headers {
        if let Some(value) = header.value.as_ref().filter(|value| text(value).is_some()) {
            put(&header.name, value);
        }
    }
    if builder.is_empty() { Bytes::new() } else { builder.finish() }
}

#[cfg(test)]
mod tests {
    use super::ttl_ms;

    #[test]
    fn a_ttl_is_seconds_or_a_duration() {
        let cases = [
            ("60", Some(60_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("2s5ms", Some(2005)),
            ("0", None),
            ("0s", None),
            ("never", None),
            ("", None),
            ("1", Some(1000)),
            ("-1", None),
            ("1d", None),
            ("h", None),
            ("4294967296", None),
            ("99999999999999999999h", None),
        ];
        for (text, want) in cases {
            assert_eq!(ttl_ms(text), want, "{text:?}");
        }
    }
}
