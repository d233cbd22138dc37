//! The field map of MQTT: packets to records and back, by the table in [`model::fields`].
//!
//! Message properties become neutral fields. What they cannot hold (a user property named like a
//! field, an explicit "not text") is kept in its original encoding beside them, so that MQTT readers
//! get what was sent; address, correlation and expiry always come from the neutral fields.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use model::fields::{self, Field, Origin};
use model::record::{Address, Assurance, Header, Native, Properties, Record, Space};
use model::render;
use model::subject::Invalid;
use mqtt_codec::{Binary, Limits, MessageProperties, Qos, Text};
use protocol::Message;

/// Where subjects live whose first token begins with `$`.
pub(crate) static PRIVATE: LazyLock<Space> = LazyLock::new(|| Space::named("mqtt"));

/// The address that a topic name means.
pub(crate) fn address(topic: &Bytes) -> Result<Address, Invalid> {
    let subject = render::mqtt::parse(topic)?;
    let space = if subject.is_private() { PRIVATE.clone() } else { Space::SHARED };
    Ok(Address::Subject(space, subject))
}

/// The topic name of an address, if MQTT can say it.
fn topic_of(address: &Address) -> Option<&Bytes> {
    match address {
        Address::Subject(space, subject) if space.is_shared() || *space == *PRIVATE => {
            (!subject.is_none()).then(|| subject.bytes())
        }
        Address::Subject(..) | Address::Queue(_) => None,
    }
}

/// How hard to try, for a QoS.
pub(crate) const fn assurance(qos: Qos) -> Assurance {
    match qos {
        Qos::AtMostOnce => Assurance::AtMostOnce,
        Qos::AtLeastOnce => Assurance::AtLeastOnce,
        Qos::ExactlyOnce => Assurance::ExactlyOnce,
    }
}

/// The QoS that says how hard to try.
pub(crate) const fn qos(assurance: Assurance) -> Qos {
    match assurance {
        Assurance::AtMostOnce => Qos::AtMostOnce,
        Assurance::AtLeastOnce => Qos::AtLeastOnce,
        Assurance::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn name_of(field: Field) -> &'static str {
    fields::row(field).mqtt.name
}

/// The record of a message published at `unix_ms`.
pub(crate) fn record(
    payload: Bytes,
    qos: Qos,
    retain: bool,
    properties: Option<&MessageProperties>,
    unix_ms: i64,
) -> Record {
    let mut record =
        Record { value: Some(payload), assurance: assurance(qos), retain, ..Record::default() };
    if let Some(properties) = properties {
        read(properties, unix_ms, &mut record);
    }
    record
}

/// Sets the neutral fields from message properties.
fn read(from: &MessageProperties, unix_ms: i64, record: &mut Record) {
    let mut own = Properties {
        content_type: from.content_type.clone().map(Text::into_bytes),
        correlation: from.correlation_data.clone().map(Binary::into_bytes),
        expires_at_ms: from
            .message_expiry_secs
            .map(|secs| unix_ms.saturating_add(i64::from(secs) * 1000)),
        text: from.payload_is_utf8 == Some(true),
        ..Properties::default()
    };
    let mut lossy = from.payload_is_utf8 == Some(false);
    if let Some(topic) = from.response_topic.clone() {
        own.reply_to = address(&topic.into_bytes()).ok();
        lossy |= own.reply_to.is_none();
    }
    record.headers.reserve_exact(from.user_properties.len());
    for (name, value) in &from.user_properties {
        if is_field(name, value, &mut own, record) {
            lossy = true;
        } else {
            let (name, value) = (name.clone().into_bytes(), value.clone().into_bytes());
            record.headers.push(Header { name, value: Some(value) });
        }
    }
    if lossy {
        let mut block = BytesMut::new();
        MessageProperties { message_expiry_secs: None, ..from.clone() }.encode(&mut block);
        own.native = Some(Native { protocol: Origin::Mqtt, block: block.freeze() });
    }
    if own != Properties::default() {
        record.properties = Some(Box::new(own));
    }
}

/// Takes a user property that carries a field of its own; the first of a name counts.
fn is_field(name: &Text, value: &Text, own: &mut Properties, record: &mut Record) -> bool {
    let bytes = || value.clone().into_bytes();
    if *name == name_of(Field::Key) && record.key.is_none() {
        record.key = Some(bytes());
    } else if *name == name_of(Field::MessageId) && own.message_id.is_none() {
        own.message_id = Some(bytes());
    } else if *name == name_of(Field::Priority) && own.priority.is_none() {
        own.priority = value.as_str().parse().ok();
        return own.priority.is_some();
    } else {
        return false;
    }
    true
}

/// The properties that a message is delivered with at `unix_ms`; `None` when there are none.
pub(crate) fn properties(message: &Message, unix_ms: i64) -> Option<Box<MessageProperties>> {
    let record = &message.record;
    if record.properties.is_none() && record.headers.is_empty() && record.key.is_none() {
        return None;
    }
    let mut to = Box::<MessageProperties>::default();
    let own = record.properties.as_deref();
    let native = own.and_then(|own| own.native.as_ref()).and_then(read_native);
    if let Some(own) = own {
        to.content_type = own.content_type.clone().and_then(text);
        to.response_topic = reply_topic(message, own);
        to.correlation_data = own.correlation.clone().and_then(|bytes| Binary::new(bytes).ok());
        to.message_expiry_secs = own.expires_at_ms.map(|at| seconds_left(at, unix_ms));
        to.payload_is_utf8 = own.text.then_some(true);
    }
    if let Some(native) = native {
        to.payload_is_utf8 = native.payload_is_utf8;
        to.user_properties = native.user_properties;
        if own.is_some_and(|own| own.reply_to.is_none()) {
            to.response_topic = native.response_topic;
        }
    } else {
        for header in &record.headers {
            pair(&mut to, &header.name, header.value.as_ref());
        }
        pair(&mut to, &Bytes::from_static(name_of(Field::Key).as_bytes()), record.key.as_ref());
        if let Some(own) = own {
            let name = Bytes::from_static(name_of(Field::MessageId).as_bytes());
            pair(&mut to, &name, own.message_id.as_ref());
            let name = Bytes::from_static(name_of(Field::Priority).as_bytes());
            let priority = own.priority.map(|priority| Bytes::from(priority.to_string()));
            pair(&mut to, &name, priority.as_ref());
        }
    }
    (!to.is_empty()).then_some(to)
}

fn text(bytes: Bytes) -> Option<Text> {
    Text::new(bytes).ok()
}

/// A user property, if both sides are text; null has no form.
fn pair(to: &mut MessageProperties, name: &Bytes, value: Option<&Bytes>) {
    let Some(value) = value else { return };
    if let (Some(name), Some(value)) = (text(name.clone()), text(value.clone())) {
        to.user_properties.push((name, value));
    }
}

fn read_native(native: &Native) -> Option<MessageProperties> {
    let limits = Limits { user_properties_max: u16::MAX, ..Limits::default() };
    match native.protocol {
        Origin::Mqtt => MessageProperties::decode(native.block.clone(), &limits).ok(),
        Origin::Kafka | Origin::Nats | Origin::Amqp => None,
    }
}

/// The response topic: the address itself where MQTT can say it, else the alias that stands for it.
fn reply_topic(message: &Message, own: &Properties) -> Option<Text> {
    let topic = match topic_of(own.reply_to.as_ref()?) {
        Some(topic) => topic.clone(),
        None => message.reply_alias.get()?.bytes().clone(),
    };
    text(topic)
}

/// Seconds until `at`, rounded up; the caller has dropped what is past [MQTT-3.3.2-6].
fn seconds_left(at: i64, unix_ms: i64) -> u32 {
    let left = at.saturating_sub(unix_ms).max(0);
    u32::try_from((left / 1000).saturating_add(i64::from(left % 1000 != 0))).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &'static str) -> Text {
        Text::from_static(value)
    }

    fn back(record: Record, unix_ms: i64) -> Option<Box<MessageProperties>> {
        let to = address(&Bytes::from_static(b"t")).unwrap();
        properties(&Message::new(to, record, None), unix_ms)
    }

    // covers: [MQTT-3.3.2-4] [MQTT-3.3.2-6] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17]
    // covers: [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    #[test]
    fn properties_come_back_as_they_were_but_for_the_time_that_passed() {
        let mut sent = MessageProperties {
            payload_is_utf8: Some(true),
            message_expiry_secs: Some(60),
            content_type: Some(text("text/plain")),
            response_topic: Some(text("re/ply")),
            correlation_data: Some(Binary::new(&[0u8, 1][..]).unwrap()),
            user_properties: vec![
                (text("b"), text("1")),
                (text("a"), text("")),
                (text("b"), text("2")),
            ],
        };
        for extra in [None, Some("kafka-key"), Some("message-id"), Some("priority")] {
            if let Some(name) = extra {
                sent.user_properties.insert(1, (text(name), text("7")));
            }
            let record = record(Bytes::new(), Qos::AtMostOnce, false, Some(&sent), 5_000);
            let got = back(record, 15_001).unwrap();
            let left = MessageProperties { message_expiry_secs: Some(50), ..sent.clone() };
            assert_eq!(*got, left);
        }
    }

    #[test]
    fn fields_among_user_properties_are_fields_for_other_protocols() {
        let sent = MessageProperties {
            payload_is_utf8: Some(false),
            user_properties: vec![
                (text("kafka-key"), text("k")),
                (text("message-id"), text("m")),
                (text("priority"), text("9")),
                (text("priority"), text("high")),
            ],
            ..MessageProperties::default()
        };
        let record = record(Bytes::new(), Qos::AtMostOnce, false, Some(&sent), 0);
        assert_eq!(record.key.as_deref(), Some(&b"k"[..]));
        let own = record.properties.as_ref().unwrap();
        assert_eq!(own.message_id.as_deref(), Some(&b"m"[..]));
        assert_eq!(own.priority, Some(9));
        assert_eq!(record.headers.len(), 1, "what is not a priority stays a header");
        assert_eq!(*back(record, 0).unwrap(), sent);
    }

    #[test]
    fn what_other_protocols_say_is_said_as_far_as_mqtt_can() {
        let header = |name: &'static [u8], value: Option<&'static [u8]>| Header {
            name: Bytes::from_static(name),
            value: value.map(Bytes::from_static),
        };
        let record = Record {
            key: Some(Bytes::from_static(b"k")),
            headers: vec![
                header(b"h", Some(b"v")),
                header(b"null", None),
                header(b"bytes", Some(b"\xFF")),
            ],
            properties: Some(Box::new(Properties {
                reply_to: Some(Address::Queue(Bytes::from_static(b"q"))),
                correlation: Some(Bytes::from_static(b"\xFF")),
                message_id: Some(Bytes::from_static(b"m")),
                priority: Some(3),
                ..Properties::default()
            })),
            ..Record::default()
        };
        let message =
            Message::new(address(&Bytes::from_static(b"t")).unwrap(), record.clone(), None);
        let alias = render::mqtt::parse(&Bytes::from_static(b"_INBOX/x")).unwrap();
        message.reply_alias.set(alias).unwrap();
        let got = properties(&message, 0).unwrap();
        assert_eq!(got.response_topic, Some(text("_INBOX/x")));
        assert_eq!(got.correlation_data.as_ref().map(Binary::as_bytes), Some(&b"\xFF"[..]));
        let pairs = [("h", "v"), ("kafka-key", "k"), ("message-id", "m"), ("priority", "3")];
        assert_eq!(got.user_properties, pairs.map(|(name, value)| (text(name), text(value))));
        assert_eq!(back(record, 0).unwrap().response_topic, None, "no alias, no way to say it");
    }

    #[test]
    fn a_dollar_topic_is_private() {
        let private = address(&Bytes::from_static(b"$x/y")).unwrap();
        let Address::Subject(space, _) = &private else { panic!("a subject") };
        assert_eq!(space.name(), Some("mqtt"));
        assert_eq!(topic_of(&private).map(|topic| &topic[..]), Some(&b"$x/y"[..]));
        let other = Space::named("exchange/x");
        let subject = render::mqtt::parse(&Bytes::from_static(b"a")).unwrap();
        assert_eq!(topic_of(&Address::Subject(other, subject)), None);
    }
}
