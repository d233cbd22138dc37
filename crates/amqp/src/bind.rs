//! Bindings: keys and arguments to filters and conditions on headers.
//!
//! Values are compared type-normalised, as RabbitMQ does: integers of any width are equal, `1` and
//! `"1"` are not. Both sides are brought into one form, a type letter and the value.

use amqp_codec::{ReplyCode, TableRef, Value};
use bytes::{BufMut, Bytes, BytesMut};
use protocol::{BindTarget, Binding, HeaderMatch, HeaderMatchMode};

use crate::exchange::{self, Exchange, Kind};
use crate::failure::Failure;

/// The binding that a method's key and arguments mean in this exchange.
///
/// # Errors
///
/// 406 for a key or a match mode that cannot be had.
pub(crate) fn binding(
    exchange: &Exchange,
    target: BindTarget,
    key: &[u8],
    arguments: TableRef<'_>,
) -> Result<Binding, Failure> {
    let (source, filter) = exchange::filter(exchange, key)?;
    let headers = match exchange.kind {
        Kind::Headers => Some(condition(arguments)?),
        Kind::Direct | Kind::Fanout | Kind::Topic => None,
    };
    let identity = identity(key, arguments);
    Ok(Binding { source, target, filter, headers, identity, durable: true })
}

/// What makes two bindings the same: key and arguments, these in the order of their names.
fn identity(key: &[u8], arguments: TableRef<'_>) -> Bytes {
    let mut entries: Vec<(&[u8], Value<'_>)> = arguments.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    let mut out = BytesMut::with_capacity(key.len() + arguments.as_bytes().len() + 1);
    out.put_u8(u8::try_from(key.len()).unwrap_or(u8::MAX));
    out.put_slice(key);
    for (name, value) in entries {
        out.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.put_slice(name);
        out.put_slice(&normal(value));
    }
    out.freeze()
}

fn condition(arguments: TableRef<'_>) -> Result<HeaderMatch, Failure> {
    let invalid = |shown: String| {
        let text = format!(
            "Invalid x-match field value {shown}; expected all, any, all-with-x, or any-with-x"
        );
        Failure::new(ReplyCode::PreconditionFailed, text)
    };
    let (mode, with_x) = match arguments.get("x-match") {
        None | Some(Value::LongStr(b"all")) => (HeaderMatchMode::All, false),
        Some(Value::LongStr(b"any")) => (HeaderMatchMode::Any, false),
        Some(Value::LongStr(b"all-with-x")) => (HeaderMatchMode::All, true),
        Some(Value::LongStr(b"any-with-x")) => (HeaderMatchMode::Any, true),
        Some(Value::LongStr(other)) => {
            return Err(invalid(format!("\"{}\"", String::from_utf8_lossy(other))));
        }
        Some(value) => return Err(invalid(format!("of type {}", value.type_name()))),
    };
    let wanted = arguments
        .iter()
        .filter(|(name, _)| *name != b"x-match" && (with_x || !name.starts_with(b"x-")))
        .map(|(name, value)| {
            let any = matches!(value, Value::Void);
            (Bytes::copy_from_slice(name), (!any).then(|| normal(value)))
        })
        .collect();
    Ok(HeaderMatch { mode, wanted })
}

/// A message's headers in the form that conditions are compared with.
pub(crate) fn attributes(headers: TableRef<'_>) -> Vec<(Bytes, Bytes)> {
    headers.iter().map(|(name, value)| (Bytes::copy_from_slice(name), normal(value))).collect()
}

fn normal(value: Value<'_>) -> Bytes {
    let mut out = BytesMut::with_capacity(16);
    match value {
        Value::LongStr(bytes) => lettered(&mut out, b'S', bytes),
        Value::Blob(bytes) => lettered(&mut out, b'x', bytes),
        Value::Bool(flag) => lettered(&mut out, b't', &[u8::from(flag)]),
        Value::F32(number) => lettered(&mut out, b'd', &f64::from(number).to_be_bytes()),
        Value::F64(number) => lettered(&mut out, b'd', &number.to_be_bytes()),
        Value::Timestamp(seconds) => lettered(&mut out, b'T', &seconds.to_be_bytes()),
        Value::Decimal { scale, value } => {
            lettered(&mut out, b'D', &[scale]);
            out.put_u32(value);
        }
        Value::Table(table) => lettered(&mut out, b'F', table.as_bytes()),
        Value::Array(array) => {
            out.put_u8(b'A');
            for item in array {
                let item = normal(item);
                out.put_u32(u32::try_from(item.len()).unwrap_or(u32::MAX));
                out.put_slice(&item);
            }
        }
        Value::Void => out.put_u8(b'V'),
        Value::I8(_)
        | Value::U8(_)
        | Value::I16(_)
        | Value::U16(_)
        | Value::I32(_)
        | Value::U32(_)
        | Value::I64(_) => {
            let number = value.as_integer().unwrap_or_default();
            lettered(&mut out, b'i', &number.to_be_bytes());
        }
    }
    out.freeze()
}

fn lettered(out: &mut BytesMut, letter: u8, bytes: &[u8]) {
    out.put_u8(letter);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use amqp_codec::TableWriter;

    use super::*;

    #[test]
    fn integers_are_equal_across_widths_and_never_equal_text() {
        assert_eq!(normal(Value::I8(1)), normal(Value::I64(1)));
        assert_ne!(normal(Value::I8(1)), normal(Value::LongStr(b"1")));
        assert_eq!(normal(Value::F32(0.5)), normal(Value::F64(0.5)));
    }

    #[test]
    fn plain_modes_skip_names_that_begin_with_x() {
        let wanted = |mode: &str| {
            let table = TableWriter::new()
                .with("x-match", Value::LongStr(mode.as_bytes()))
                .with("x-own", Value::I8(1))
                .with("there", Value::Void);
            condition(table.view()).expect("a mode")
        };
        let any = wanted("any");
        assert_eq!(any.mode, HeaderMatchMode::Any);
        assert_eq!(any.wanted, [(Bytes::from("there"), None)]);
        assert_eq!(wanted("all-with-x").wanted.len(), 2);
        let table = TableWriter::new().with("x-match", Value::LongStr(b"some"));
        let failure = condition(table.view()).expect_err("no mode");
        assert_eq!(failure.code, ReplyCode::PreconditionFailed);
    }

    #[test]
    fn the_order_of_arguments_does_not_make_another_binding() {
        let one = TableWriter::new().with("a", Value::I8(1)).with("b", Value::I8(2));
        let two = TableWriter::new().with("b", Value::I32(2)).with("a", Value::I8(1));
        assert_eq!(identity(b"k", one.view()), identity(b"k", two.view()));
        assert_ne!(identity(b"k", one.view()), identity(b"l", one.view()));
    }
}
