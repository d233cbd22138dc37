//! x-arguments of queues, exchanges and consumers: what is accepted, refused and compared.
//!
//! An argument of the wrong form is answered as RabbitMQ answers it (406). One that asks for what is
//! not there is refused (540), unless its value asks for nothing. All others are accepted and
//! ignored, as RabbitMQ does; they do not take part in comparisons either.
//!
//! A classic and a quorum queue are the same thing here: one copy, synced before it is confirmed.
//! So each takes the arguments of the other (`x-max-priority`, `x-delivery-limit`).

use amqp_codec::{Table, TableRef, TableWriter, Value};
use bytes::Bytes;
use protocol::{Overflow, QueueDeclaration, QueueOptions, SpaceDeclaration};

use crate::exchange;
use crate::failure::{Failure, Object, quoted};

/// The longest time to live: ten years, as in RabbitMQ.
const MILLISECONDS_MAX: i64 = 315_360_000_000;

/// The form of an argument's value.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// An integer from this on.
    Integer(i64),
    /// Milliseconds from this on.
    Milliseconds(i64),
    /// 1 to 255.
    Priority,
    Text,
    /// The name of an exchange.
    Exchange,
    Bool,
    /// One of these texts, and what any other is called.
    OneOf(&'static [&'static str], &'static str),
}

/// What asking for it means here.
#[derive(Clone, Copy, Debug)]
enum Support {
    /// It is there, and queues that differ in it are different.
    Compared,
    /// It asks for what is not there.
    Never,
    /// It asks for nothing with this value.
    OnlyText(&'static str),
}

/// In the order in which RabbitMQ checks and compares them.
const QUEUE_ARGUMENTS: &[(&str, Form, Support)] = &[
    ("x-expires", Form::Milliseconds(1), Support::Compared),
    ("x-message-ttl", Form::Milliseconds(0), Support::Compared),
    ("x-dead-letter-exchange", Form::Exchange, Support::Compared),
    ("x-dead-letter-routing-key", Form::Text, Support::Compared),
    (
        "x-dead-letter-strategy",
        Form::OneOf(&["at-most-once", "at-least-once"], "invalid_dlx_strategy"),
        Support::Compared,
    ),
    ("x-max-length", Form::Integer(0), Support::Compared),
    ("x-max-length-bytes", Form::Integer(0), Support::Compared),
    ("x-max-priority", Form::Priority, Support::Compared),
    (
        "x-overflow",
        Form::OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"], "invalid_overflow"),
        Support::Compared,
    ),
    ("x-single-active-consumer", Form::Bool, Support::Compared),
    ("x-delivery-limit", Form::Integer(-1), Support::Compared),
    ("x-delayed-retry-type", Form::Text, Support::OnlyText("disabled")),
    ("x-consumer-timeout", Form::Integer(0), Support::Never),
    ("x-consumer-disconnected-timeout", Form::Integer(0), Support::Never),
    ("x-max-age", Form::Text, Support::Never),
    ("x-stream-max-segment-size-bytes", Form::Integer(0), Support::Never),
    ("x-stream-filter-size-bytes", Form::Integer(0), Support::Never),
];

/// The kinds of queue that RabbitMQ has.
const QUEUE_TYPE: &str = "x-queue-type";
const CLASSIC: &[u8] = b"classic";
const QUORUM: &[u8] = b"quorum";
const STREAM: &[u8] = b"stream";

fn check_form(
    object: &Object<'_>,
    name: &str,
    form: Form,
    value: Value<'_>,
) -> Result<(), Failure> {
    let invalid = |why: &str| Err(object.invalid_argument(name, why));
    let unacceptable = || invalid(&format!("{{unacceptable_type,{}}}", value.type_name()));
    let integer = |min: i64| match value.as_integer() {
        None => invalid(&format!("\"expected integer, got {}\"", value.type_name())).map(|()| 0),
        Some(number) if number < 0 && number < min => {
            invalid(&format!("{{value_negative,{number}}}")).map(|()| 0)
        }
        Some(number) => Ok(number),
    };
    match form {
        Form::Integer(min) => integer(min).map(|_| ()),
        Form::Milliseconds(min) => match integer(0)? {
            0 if min > 0 => invalid("{value_zero,0}"),
            number if number > MILLISECONDS_MAX => {
                invalid(&format!("{{value_too_large,{number}}}"))
            }
            _ => Ok(()),
        },
        Form::Priority => match integer(0)? {
            number if number > 255 => invalid(&format!("{{max_value_exceeded,{number}}}")),
            _ => Ok(()),
        },
        Form::Text if text_of(value).is_some() => Ok(()),
        Form::Text => unacceptable(),
        Form::Exchange if text_of(value).is_some() => Ok(()),
        Form::Exchange => Err(object.invalid_type(name, value.type_name())),
        Form::OneOf(allowed, otherwise) => match text_of(value) {
            Some(text) if allowed.iter().any(|one| one.as_bytes() == text) => Ok(()),
            Some(_) => invalid(otherwise),
            None => unacceptable(),
        },
        Form::Bool if matches!(value, Value::Bool(_)) => Ok(()),
        Form::Bool => unacceptable(),
    }
}

fn text_of(value: Value<'_>) -> Option<&[u8]> {
    if let Value::LongStr(text) = value { Some(text) } else { None }
}

fn is_supported(support: Support, value: Value<'_>) -> bool {
    match support {
        Support::Compared => true,
        Support::Never => false,
        Support::OnlyText(text) => value == Value::LongStr(text.as_bytes()),
    }
}

/// What a queue's arguments come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueArguments {
    /// Those that are compared, in one order.
    pub(crate) compared: Bytes,
    pub(crate) options: Option<Box<QueueOptions>>,
}

/// Checks a queue's arguments.
///
/// # Errors
///
/// 406 for values of the wrong form, 540 for what is not there.
pub(crate) fn queue(
    arguments: TableRef<'_>,
    name: &[u8],
    durable: bool,
    exclusive: bool,
) -> Result<QueueArguments, Failure> {
    let object = Object::Queue(name);
    for (argument, form, _) in QUEUE_ARGUMENTS {
        if let Some(value) = arguments.get(argument) {
            check_form(&object, argument, *form, value)?;
        }
    }
    if arguments.get("x-dead-letter-routing-key").is_some()
        && arguments.get("x-dead-letter-exchange").is_none()
    {
        let argument = "x-dead-letter-routing-key";
        return Err(object.invalid_argument(argument, "routing_key_but_no_dlx_defined"));
    }
    let quorum = is_quorum(&object, arguments)?;
    for (argument, _, support) in QUEUE_ARGUMENTS {
        if let Some(value) = arguments.get(argument)
            && !is_supported(*support, value)
        {
            return Err(object.unsupported_argument(argument));
        }
    }
    for (property, wrong) in [("exclusive-owner", exclusive), ("non-durable", !durable)] {
        if quorum && wrong {
            return Err(object.invalid_property(property));
        }
    }
    let mut compared = TableWriter::new();
    for (argument, _, support) in QUEUE_ARGUMENTS {
        if let (Some(value), Support::Compared) = (arguments.get(argument), support) {
            compared.push(argument.as_bytes(), value);
        }
    }
    if quorum {
        compared.push(QUEUE_TYPE.as_bytes(), Value::LongStr(QUORUM));
    }
    let options = options(arguments, quorum)?;
    Ok(QueueArguments {
        compared: compared.finish().as_bytes().clone(),
        options: (options != QueueOptions::default()).then(|| Box::new(options)),
    })
}

fn is_quorum(object: &Object<'_>, arguments: TableRef<'_>) -> Result<bool, Failure> {
    match arguments.get(QUEUE_TYPE) {
        None | Some(Value::LongStr(CLASSIC)) => Ok(false),
        Some(Value::LongStr(QUORUM)) => Ok(true),
        Some(Value::LongStr(STREAM)) => Err(object.unsupported_argument(QUEUE_TYPE)),
        Some(Value::LongStr(other)) => {
            let other = String::from_utf8_lossy(other);
            let why = format!("\"unsupported queue type '{other}'\"");
            Err(object.invalid_argument(QUEUE_TYPE, &why))
        }
        Some(value) => {
            let why = format!("{{unacceptable_type,{}}}", value.type_name());
            Err(object.invalid_argument(QUEUE_TYPE, &why))
        }
    }
}

/// What checked arguments ask for.
fn options(arguments: TableRef<'_>, quorum: bool) -> Result<QueueOptions, Failure> {
    let number = |name: &str| {
        let number = arguments.get(name).and_then(|value| value.as_integer());
        number.and_then(|number| u64::try_from(number).ok())
    };
    let text = |name: &str| arguments.get(name).and_then(text_of);
    let single_active = arguments.get("x-single-active-consumer") == Some(Value::Bool(true));
    let delivery_limit = number("x-delivery-limit");
    let key = text("x-dead-letter-routing-key");
    let dead_letter = text("x-dead-letter-exchange")
        .map(|exchange| exchange::dead_letter(exchange, key))
        .transpose()?;
    Ok(QueueOptions {
        message_ttl_ms: number("x-message-ttl"),
        unused_ms: number("x-expires"),
        dead_letter,
        max_messages: number("x-max-length"),
        max_bytes: number("x-max-length-bytes"),
        overflow: match text("x-overflow") {
            Some(b"reject-publish") => Overflow::Refuse,
            Some(b"reject-publish-dlx") => Overflow::RefuseAndGiveUp,
            Some(_) | None => Overflow::DropHead,
        },
        max_priority: number("x-max-priority")
            .and_then(|max| u8::try_from(max).ok())
            .filter(|max| *max > 0),
        single_active,
        no_pull: single_active && quorum,
        delivery_limit: delivery_limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
        tells_deliveries: quorum || delivery_limit.is_some(),
    })
}

/// Checks an exchange's arguments; none of them is compared.
///
/// # Errors
///
/// 406 for values of the wrong form, 540 for what is not there.
pub(crate) fn exchange(arguments: TableRef<'_>, name: &[u8]) -> Result<Bytes, Failure> {
    let object = Object::Exchange(name);
    let argument = "alternate-exchange";
    if let Some(value) = arguments.get(argument) {
        check_form(&object, argument, Form::Text, value)?;
        return Err(object.unsupported_argument(argument));
    }
    Ok(Bytes::new())
}

/// The priority of a consumer.
///
/// # Errors
///
/// 406 for a priority that is no number, 540 for what is not there.
pub(crate) fn consumer(arguments: TableRef<'_>, queue: &[u8]) -> Result<i32, Failure> {
    let object = Object::Queue(queue);
    if arguments.get("x-consumer-timeout").is_some() {
        return Err(object.unsupported_argument("x-consumer-timeout"));
    }
    let Some(value) = arguments.get("x-priority") else { return Ok(0) };
    check_form(&object, "x-priority", Form::Integer(i64::MIN), value)?;
    let priority = value.as_integer().unwrap_or_default();
    Ok(i32::try_from(priority).unwrap_or(if priority < 0 { i32::MIN } else { i32::MAX }))
}

/// Why a queue that stands is not the one declared, if it is not.
pub(crate) fn queue_difference(
    wanted: &QueueDeclaration,
    current: &QueueDeclaration,
) -> Option<Failure> {
    let object = Object::Queue(&wanted.name);
    if wanted.exclusive != current.exclusive {
        return Some(object.locked());
    }
    let flags = [
        ("durable", wanted.durable, current.durable),
        ("auto_delete", wanted.auto_delete, current.auto_delete),
    ];
    for (field, received, stands) in flags {
        if received != stands {
            return Some(object.inequivalent(field, &quoted(received), &quoted(stands)));
        }
    }
    let tables = [&wanted.arguments, &current.arguments]
        .map(|arguments| Table::checked(arguments.clone()).unwrap_or_default());
    let names = QUEUE_ARGUMENTS.iter().map(|(name, ..)| *name).chain([QUEUE_TYPE]);
    for name in names {
        let [received, stands] = [tables[0].view().get(name), tables[1].view().get(name)];
        match (received, stands) {
            (None, None) => {}
            (Some(received), Some(stands)) => {
                if !is_same(received, stands) {
                    let (received, stands) = (shown(received), shown(stands));
                    return Some(object.inequivalent(name, &quoted(received), &quoted(stands)));
                }
            }
            (received, stands) => {
                return Some(object.inequivalent(name, &with_type(received), &with_type(stands)));
            }
        }
    }
    None
}

/// Integers are equal across widths.
fn is_same(one: Value<'_>, other: Value<'_>) -> bool {
    match (one.as_integer(), other.as_integer()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn shown(value: Value<'_>) -> String {
    if let Value::Bool(flag) = value {
        return flag.to_string();
    }
    match (text_of(value), value.as_integer()) {
        (Some(text), _) => String::from_utf8_lossy(text).into_owned(),
        (None, number) => number.map(|number| number.to_string()).unwrap_or_default(),
    }
}

fn with_type(value: Option<Value<'_>>) -> String {
    value.map_or_else(
        || "none".to_owned(),
        |value| format!("the value '{}' of type '{}'", shown(value), value.type_name()),
    )
}

/// Why an exchange that stands is not the one declared, if it is not.
pub(crate) fn exchange_difference(
    wanted: &SpaceDeclaration,
    current: &SpaceDeclaration,
) -> Option<Failure> {
    let object = Object::Exchange(&wanted.name);
    if wanted.kind != current.kind {
        let text = |kind: &Bytes| quoted(String::from_utf8_lossy(kind));
        return Some(object.inequivalent("type", &text(&wanted.kind), &text(&current.kind)));
    }
    let flags = [
        ("durable", wanted.durable, current.durable),
        ("auto_delete", wanted.auto_delete, current.auto_delete),
        ("internal", wanted.internal, current.internal),
    ];
    flags.into_iter().find(|(_, received, stands)| received != stands).map(
        |(field, received, stands)| object.inequivalent(field, &quoted(received), &quoted(stands)),
    )
}

#[cfg(test)]
mod tests {
    use amqp_codec::ReplyCode;
    use model::record::{Address, Space};
    use model::render;
    use protocol::DeadLetter;

    use super::*;

    fn checked(table: &TableWriter) -> Result<QueueArguments, (ReplyCode, String)> {
        queue(table.view(), b"q1", true, false).map_err(|failure| (failure.code, failure.text))
    }

    fn declare(name: &str, value: Value<'_>) -> Result<QueueArguments, (ReplyCode, String)> {
        checked(&TableWriter::new().with(name, value))
    }

    fn asked(table: &TableWriter) -> QueueOptions {
        *checked(table).expect("accepted").options.expect("options")
    }

    #[test]
    fn values_of_the_wrong_form_are_answered_as_rabbitmq_does() {
        let invalid = |name: &str, value, why: &str| {
            let text = format!("invalid arg '{name}' for queue 'q1' in vhost '/': {why}");
            assert_eq!(declare(name, value), Err((ReplyCode::PreconditionFailed, text)));
        };
        let text = Value::LongStr(b"zz");
        let key = "x-dead-letter-routing-key";
        invalid("x-message-ttl", text, "\"expected integer, got longstr\"");
        invalid("x-message-ttl", Value::I32(-1), "{value_negative,-1}");
        invalid("x-message-ttl", Value::I64(1 << 62), "{value_too_large,4611686018427387904}");
        invalid("x-expires", Value::I32(0), "{value_zero,0}");
        invalid("x-max-length", Value::I32(-1), "{value_negative,-1}");
        invalid("x-max-priority", Value::I32(256), "{max_value_exceeded,256}");
        invalid("x-overflow", text, "invalid_overflow");
        invalid("x-overflow", Value::I32(1), "{unacceptable_type,signedint}");
        invalid("x-single-active-consumer", text, "{unacceptable_type,longstr}");
        invalid("x-dead-letter-strategy", text, "invalid_dlx_strategy");
        invalid(key, Value::I32(1), "{unacceptable_type,signedint}");
        invalid(key, text, "routing_key_but_no_dlx_defined");
        invalid("x-delivery-limit", Value::I32(-2), "{value_negative,-2}");
        invalid("x-queue-type", text, "\"unsupported queue type 'zz'\"");
        invalid("x-queue-type", Value::I32(5), "{unacceptable_type,signedint}");
        let text = "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q1' in \
                    vhost '/'";
        let got = declare("x-dead-letter-exchange", Value::I32(1));
        assert_eq!(got, Err((ReplyCode::PreconditionFailed, text.to_owned())));
    }

    #[test]
    fn what_is_not_there_is_refused_and_what_asks_for_nothing_is_not() {
        let refused = |name, value| declare(name, value).expect_err("refused").0;
        for (name, value) in [
            ("x-max-age", Value::LongStr(b"7D")),
            ("x-consumer-timeout", Value::I32(60_000)),
            ("x-queue-type", Value::LongStr(b"stream")),
        ] {
            assert_eq!(refused(name, value), ReplyCode::NotImplemented, "{name}");
        }
        for (name, value) in [
            ("x-queue-mode", Value::LongStr(b"lazy")),
            ("x-queue-type", Value::LongStr(b"classic")),
            ("x-something-of-mine", Value::Void),
        ] {
            assert_eq!(declare(name, value), Ok(QueueArguments::default()), "{name}");
        }
        for (name, value) in [
            ("x-single-active-consumer", Value::Bool(false)),
            ("x-overflow", Value::LongStr(b"drop-head")),
            ("x-delivery-limit", Value::I32(-1)),
            ("x-max-priority", Value::I32(0)),
        ] {
            let got = declare(name, value).expect("accepted");
            assert_eq!(got.options, None, "{name} asks for nothing");
            assert!(!got.compared.is_empty(), "{name} is compared all the same");
        }
    }

    #[test]
    fn arguments_become_options() {
        let table = TableWriter::new()
            .with("x-message-ttl", Value::I32(0))
            .with("x-expires", Value::I64(60_000))
            .with("x-max-length", Value::U8(3))
            .with("x-max-length-bytes", Value::I32(4))
            .with("x-overflow", Value::LongStr(b"reject-publish-dlx"))
            .with("x-max-priority", Value::I32(10))
            .with("x-delivery-limit", Value::I32(5))
            .with("x-single-active-consumer", Value::Bool(true));
        let expected = QueueOptions {
            message_ttl_ms: Some(0),
            unused_ms: Some(60_000),
            dead_letter: None,
            max_messages: Some(3),
            max_bytes: Some(4),
            overflow: Overflow::RefuseAndGiveUp,
            max_priority: Some(10),
            single_active: true,
            no_pull: false,
            delivery_limit: Some(5),
            tells_deliveries: true,
        };
        assert_eq!(asked(&table), expected);
        let quorum = TableWriter::new()
            .with("x-queue-type", Value::LongStr(b"quorum"))
            .with("x-single-active-consumer", Value::Bool(true));
        let quorum = asked(&quorum);
        assert!(quorum.tells_deliveries && quorum.no_pull && quorum.delivery_limit.is_none());
    }

    #[test]
    fn dead_letters_go_to_an_exchange_or_to_a_queue_with_a_key_or_their_own() {
        let to = |exchange: &[u8], key: Option<&[u8]>| {
            let mut table =
                TableWriter::new().with("x-dead-letter-exchange", Value::LongStr(exchange));
            if let Some(key) = key {
                table.push(b"x-dead-letter-routing-key", Value::LongStr(key));
            }
            asked(&table).dead_letter.expect("a destination")
        };
        let subject = render::amqp::parse(b"a.b").expect("a subject");
        let (dlx, private) = (Space::named("exchange/dlx"), Space::named("amqp"));
        let within = |space| DeadLetter::Within { space, private: private.clone() };
        assert_eq!(to(b"", None), DeadLetter::ByName);
        assert_eq!(to(b"", Some(b"q")), DeadLetter::To(Address::Queue(Bytes::from("q"))));
        assert_eq!(to(b"dlx", None), within(dlx.clone()));
        assert_eq!(to(b"amq.topic", None), within(Space::SHARED));
        assert_eq!(to(b"dlx", Some(b"a.b")), DeadLetter::To(Address::Subject(dlx, subject)));
    }

    #[test]
    fn a_quorum_queue_is_durable_and_shared() {
        let table = TableWriter::new().with("x-queue-type", Value::LongStr(b"quorum"));
        let text = |durable, exclusive| {
            let checked = queue(table.view(), b"q", durable, exclusive);
            checked.map_err(|failure| failure.text)
        };
        assert!(text(true, false).is_ok());
        let invalid = |property: &str| {
            Err(format!("invalid property '{property}' for queue 'q' in vhost '/'"))
        };
        assert_eq!(text(false, false), invalid("non-durable"));
        assert_eq!(text(true, true), invalid("exclusive-owner"));
    }

    fn declaration(table: &TableWriter) -> QueueDeclaration {
        let arguments = checked(table).expect("accepted");
        QueueDeclaration {
            name: Bytes::from("pq"),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: arguments.compared,
            options: arguments.options,
        }
    }

    #[test]
    fn differences_are_told_in_rabbitmqs_words() {
        let differs = |wanted: &QueueDeclaration, current: &QueueDeclaration| {
            let failure = queue_difference(wanted, current).expect("differs");
            let (_, text) = failure.text.split_once("'pq' in vhost '/': ").expect("its form");
            text.to_owned()
        };
        let plain = declaration(&TableWriter::new());
        let transient = QueueDeclaration { durable: false, ..plain.clone() };
        assert_eq!(differs(&transient, &plain), "received 'false' but current is 'true'");
        assert_eq!(queue_difference(&plain, &plain), None);
        let with = |name, value| declaration(&TableWriter::new().with(name, value));
        let quorum = with("x-queue-type", Value::LongStr(b"quorum"));
        assert_eq!(
            differs(&quorum, &plain),
            "received the value 'quorum' of type 'longstr' but current is none"
        );
        let ttl = |value| with("x-message-ttl", value);
        assert_eq!(
            differs(&plain, &ttl(Value::I32(5000))),
            "received none but current is the value '5000' of type 'signedint'"
        );
        assert_eq!(
            differs(&ttl(Value::I32(6000)), &ttl(Value::I32(5000))),
            "received '6000' but current is '5000'"
        );
        assert_eq!(queue_difference(&ttl(Value::I64(5000)), &ttl(Value::I32(5000))), None);
        let single = |flag| with("x-single-active-consumer", Value::Bool(flag));
        assert_eq!(
            differs(&single(false), &single(true)),
            "received 'false' but current is 'true'"
        );
    }

    #[test]
    fn consumer_priorities_are_numbers_of_any_width() {
        let of = |value| consumer(TableWriter::new().with("x-priority", value).view(), b"q");
        assert_eq!(of(Value::I8(-3)), Ok(-3));
        assert_eq!(of(Value::I64(i64::MAX)), Ok(i32::MAX));
        assert!(of(Value::LongStr(b"1")).is_err());
    }
}
