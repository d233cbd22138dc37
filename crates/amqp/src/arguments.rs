//! x-arguments of queues, exchanges and consumers: what is accepted, refused and compared.
//!
//! An argument of the wrong form is answered as RabbitMQ answers it (406). One that asks for what is
//! not there is refused (540), unless its value asks for nothing. All others are accepted and
//! ignored, as RabbitMQ does; they do not take part in comparisons either.

use amqp_codec::{Table, TableRef, TableWriter, Value};
use bytes::Bytes;
use protocol::{QueueDeclaration, SpaceDeclaration};

use crate::failure::{Failure, Object, quoted};

/// The form of an argument's value.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// An integer from this on.
    Integer(i64),
    /// 1 to 255.
    Priority,
    Text,
    Bool,
    /// One of these texts.
    OneOf(&'static [&'static str]),
}

/// What asking for it means here.
#[derive(Clone, Copy, Debug)]
enum Support {
    /// It asks for what is not there.
    Never,
    /// It asks for nothing with this value.
    OnlyText(&'static str),
    /// It asks for nothing when false.
    OnlyFalse,
    /// It asks for nothing when -1.
    OnlyMinusOne,
    /// It says nothing without an argument that is refused.
    Harmless,
}

const QUEUE_ARGUMENTS: &[(&str, Form, Support)] = &[
    ("x-expires", Form::Integer(1), Support::Never),
    ("x-message-ttl", Form::Integer(0), Support::Never),
    ("x-dead-letter-exchange", Form::Text, Support::Never),
    ("x-dead-letter-routing-key", Form::Text, Support::Never),
    (
        "x-dead-letter-strategy",
        Form::OneOf(&["at-most-once", "at-least-once"]),
        Support::OnlyText("at-most-once"),
    ),
    ("x-max-length", Form::Integer(0), Support::Never),
    ("x-max-length-bytes", Form::Integer(0), Support::Never),
    (
        "x-overflow",
        Form::OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]),
        Support::Harmless,
    ),
    ("x-max-priority", Form::Priority, Support::Never),
    ("x-single-active-consumer", Form::Bool, Support::OnlyFalse),
    ("x-delivery-limit", Form::Integer(-1), Support::OnlyMinusOne),
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
    let expected = |kind: &str| {
        let why = format!("\"expected {kind}, got {}\"", value.type_name());
        Err(object.invalid_argument(name, &why))
    };
    match form {
        Form::Integer(min) => match value.as_integer() {
            None => expected("integer"),
            Some(number) if number < 0 && number < min => {
                Err(object.invalid_argument(name, &format!("{{value_negative,{number}}}")))
            }
            Some(0) if min > 0 => Err(object.invalid_argument(name, "{value_zero,0}")),
            Some(_) => Ok(()),
        },
        Form::Priority => match value.as_integer() {
            None => expected("integer"),
            Some(number) if number < 0 => {
                Err(object.invalid_argument(name, &format!("{{value_negative,{number}}}")))
            }
            Some(number) if number > 255 => {
                Err(object.invalid_argument(name, &format!("{{max_value_exceeded,{number}}}")))
            }
            Some(_) => Ok(()),
        },
        Form::Text => {
            if matches!(value, Value::LongStr(_)) {
                Ok(())
            } else {
                expected("longstr")
            }
        }
        Form::OneOf(allowed) => {
            let Value::LongStr(text) = value else { return expected("longstr") };
            if allowed.iter().any(|one| one.as_bytes() == text) {
                return Ok(());
            }
            Err(object.invalid_argument(name, &format!("invalid_{}", short(name))))
        }
        Form::Bool => {
            if matches!(value, Value::Bool(_)) {
                Ok(())
            } else {
                expected("boolean")
            }
        }
    }
}

/// `x-overflow` as `overflow`.
fn short(name: &str) -> String {
    name.trim_start_matches("x-").replace('-', "_")
}

fn is_supported(support: Support, value: Value<'_>) -> bool {
    match support {
        Support::Never => false,
        Support::OnlyText(text) => value == Value::LongStr(text.as_bytes()),
        Support::OnlyFalse => value == Value::Bool(false),
        Support::OnlyMinusOne => value.as_integer() == Some(-1),
        Support::Harmless => true,
    }
}

/// Checks a queue's arguments and gives those that are compared, in one normal form.
///
/// A classic and a quorum queue are the same thing here: one copy, synced before it is confirmed.
///
/// # Errors
///
/// 406 for values of the wrong form, 540 for what is not there.
pub(crate) fn queue(
    arguments: TableRef<'_>,
    name: &[u8],
    durable: bool,
    exclusive: bool,
) -> Result<Bytes, Failure> {
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
    let quorum = match arguments.get(QUEUE_TYPE) {
        None | Some(Value::LongStr(CLASSIC)) => false,
        Some(Value::LongStr(QUORUM)) => true,
        Some(Value::LongStr(STREAM)) => return Err(object.unsupported_argument(QUEUE_TYPE)),
        Some(Value::LongStr(other)) => {
            let other = String::from_utf8_lossy(other);
            let why = format!("\"unsupported queue type '{other}'\"");
            return Err(object.invalid_argument(QUEUE_TYPE, &why));
        }
        Some(value) => {
            let why = format!("\"expected longstr, got {}\"", value.type_name());
            return Err(object.invalid_argument(QUEUE_TYPE, &why));
        }
    };
    for (argument, _, support) in QUEUE_ARGUMENTS {
        if let Some(value) = arguments.get(argument)
            && !is_supported(*support, value)
        {
            return Err(object.unsupported_argument(argument));
        }
    }
    if !quorum {
        return Ok(Bytes::new());
    }
    for (property, wrong) in [("non-durable", !durable), ("exclusive", exclusive)] {
        if wrong {
            let why = format!("\"a quorum queue cannot be {property}\"");
            return Err(object.invalid_argument(QUEUE_TYPE, &why));
        }
    }
    let compared = TableWriter::new().with(QUEUE_TYPE, Value::LongStr(QUORUM));
    Ok(compared.finish().as_bytes().clone())
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
    let (received, stands) = (queue_type(&wanted.arguments), queue_type(&current.arguments));
    (received != stands).then(|| object.inequivalent(QUEUE_TYPE, &received, &stands))
}

fn queue_type(arguments: &Bytes) -> String {
    let table = Table::checked(arguments.clone()).unwrap_or_default();
    match table.view().get(QUEUE_TYPE) {
        Some(Value::LongStr(kind)) => {
            format!("the value '{}' of type 'longstr'", String::from_utf8_lossy(kind))
        }
        Some(_) | None => "none".to_owned(),
    }
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

    use super::*;

    fn declare(name: &str, value: Value<'_>) -> Result<Bytes, (ReplyCode, String)> {
        let table = TableWriter::new().with(name, value);
        queue(table.view(), b"q1", true, false).map_err(|failure| (failure.code, failure.text))
    }

    #[test]
    fn values_of_the_wrong_form_are_answered_as_rabbitmq_does() {
        let invalid = |name: &str, value, why: &str| {
            let text = format!("invalid arg '{name}' for queue 'q1' in vhost '/': {why}");
            assert_eq!(declare(name, value), Err((ReplyCode::PreconditionFailed, text)));
        };
        invalid("x-message-ttl", Value::LongStr(b"5"), "\"expected integer, got longstr\"");
        invalid("x-expires", Value::I32(0), "{value_zero,0}");
        invalid("x-max-priority", Value::I32(256), "{max_value_exceeded,256}");
        invalid("x-overflow", Value::LongStr(b"zz"), "invalid_overflow");
        invalid("x-queue-type", Value::LongStr(b"zz"), "\"unsupported queue type 'zz'\"");
        let dead = Value::LongStr(b"k");
        invalid("x-dead-letter-routing-key", dead, "routing_key_but_no_dlx_defined");
    }

    #[test]
    fn what_is_not_there_is_refused_and_what_asks_for_nothing_is_not() {
        let refused = |name, value| declare(name, value).expect_err("refused").0;
        assert_eq!(refused("x-message-ttl", Value::I32(60_000)), ReplyCode::NotImplemented);
        assert_eq!(refused("x-max-length", Value::I64(5)), ReplyCode::NotImplemented);
        assert_eq!(
            refused("x-single-active-consumer", Value::Bool(true)),
            ReplyCode::NotImplemented
        );
        assert_eq!(refused("x-queue-type", Value::LongStr(b"stream")), ReplyCode::NotImplemented);
        for (name, value) in [
            ("x-single-active-consumer", Value::Bool(false)),
            ("x-overflow", Value::LongStr(b"drop-head")),
            ("x-queue-mode", Value::LongStr(b"lazy")),
            ("x-queue-type", Value::LongStr(b"classic")),
            ("x-something-of-mine", Value::Void),
        ] {
            assert_eq!(declare(name, value), Ok(Bytes::new()), "{name}");
        }
    }

    #[test]
    fn a_quorum_queue_is_durable_and_shared() {
        let table = TableWriter::new().with("x-queue-type", Value::LongStr(b"quorum"));
        assert!(queue(table.view(), b"q", true, false).is_ok());
        assert!(queue(table.view(), b"q", false, false).is_err());
        assert!(queue(table.view(), b"q", true, true).is_err());
    }

    #[test]
    fn differences_are_told_in_rabbitmqs_words() {
        let current = QueueDeclaration {
            name: Bytes::from("pq"),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: Bytes::new(),
        };
        let wanted = QueueDeclaration { durable: false, ..current.clone() };
        let failure = queue_difference(&wanted, &current).expect("differs");
        assert_eq!(
            failure.text,
            "inequivalent arg 'durable' for queue 'pq' in vhost '/': received 'false' but current \
             is 'true'"
        );
        let kind = TableWriter::new().with("x-queue-type", Value::LongStr(b"quorum")).finish();
        let wanted = QueueDeclaration { arguments: kind.as_bytes().clone(), ..current.clone() };
        let failure = queue_difference(&wanted, &current).expect("differs");
        assert!(
            failure
                .text
                .ends_with("received the value 'quorum' of type 'longstr' but current is none")
        );
        assert_eq!(queue_difference(&current, &current), None);
    }

    #[test]
    fn consumer_priorities_are_numbers_of_any_width() {
        let of = |value| consumer(TableWriter::new().with("x-priority", value).view(), b"q");
        assert_eq!(of(Value::I8(-3)), Ok(-3));
        assert_eq!(of(Value::I64(i64::MAX)), Ok(i32::MAX));
        assert!(of(Value::LongStr(b"1")).is_err());
    }
}
