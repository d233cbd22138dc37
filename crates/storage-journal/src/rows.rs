//! Rows of the state as keys and values of state tables.
//!
//! ```text
//! key                                        value
//! 1 [log: u64]                               [row][policy][counted from: u64][visible: u64]
//!                                            [visible bytes: u64][bytes: u64]
//!                                            [n: u32]([base][last][file][section: u64, u32]
//!                                            [bytes: u32][max timestamp: i64][appended: i64])*
//! 2 [log: u64][name]                         a cursor, as in its image
//! 3 [log: u64][producer: i64]                a window, as in its image
//! 4 [length: u8][table][key]                 the row's value
//! 5 [log: u64][subject]                      [first: u64][last: u64][n: u32]([newest: u64])*
//! 6 [queue: u64][block: u64]                 [n: u32]([place: u64][log: u64][offset: u64]
//!                                            [priority: u8][deliveries: u32][not before: i64])*
//! 7 [log: u64][block: u64]                   [n: u32]([low bits of an offset: u16])*
//! 8 [log: u64][id: u128]                     [offset: u64][appended: i64]
//! ```
//!
//! Integers of keys are big endian, so that keys order as they should; those of values are little
//! endian.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use model::subject::Subject;
use storage::memory::rows::{LogValue, RowKey, RowValue};
use storage::memory::state::{Ref, Run};
use storage::{LogId, Policy};

use crate::entry;
use crate::fields::{BadEntry, Fields, put_length};

/// The bytes of a key.
pub(crate) fn put_key(key: &RowKey) -> Vec<u8> {
    let mut out = Vec::new();
    let of_log = |out: &mut Vec<u8>, tag: u8, log: &LogId| {
        out.put_u8(tag);
        out.put_u64(log.0);
    };
    match key {
        RowKey::Log(log) => of_log(&mut out, 1, log),
        RowKey::Cursor(name, log) => {
            of_log(&mut out, 2, log);
            out.put_slice(name);
        }
        RowKey::Producer(log, id) => {
            of_log(&mut out, 3, log);
            out.put_i64(*id);
        }
        RowKey::Row(table, key) => {
            out.put_u8(4);
            out.put_u8(u8::try_from(table.len()).expect("a table's name is at most 64 bytes"));
            out.put_slice(table.as_bytes());
            out.put_slice(key);
        }
        RowKey::Subject(log, subject) => {
            of_log(&mut out, 5, log);
            out.put_slice(subject.as_bytes());
        }
        RowKey::Refs(queue, block) => {
            of_log(&mut out, 6, queue);
            out.put_u64(*block);
        }
        RowKey::Deleted(log, block) => {
            of_log(&mut out, 7, log);
            out.put_u64(*block);
        }
        RowKey::Once(log, id) => {
            of_log(&mut out, 8, log);
            out.put_u128(*id);
        }
    }
    out
}

/// The order of keys as bytes.
pub(crate) fn order(one: &RowKey, other: &RowKey) -> Ordering {
    match (one, other) {
        (RowKey::Cursor(one, one_log), RowKey::Cursor(other, other_log)) => {
            (one_log, one).cmp(&(other_log, other))
        }
        (RowKey::Row(one, one_key), RowKey::Row(other, other_key)) => {
            (one.len(), one, one_key).cmp(&(other.len(), other, other_key))
        }
        (RowKey::Producer(one_log, one), RowKey::Producer(other_log, other)) => {
            (one_log, one.cast_unsigned()).cmp(&(other_log, other.cast_unsigned()))
        }
        // Kinds are in the order of their tags.
        _ => one.cmp(other),
    }
}

/// The bytes of a value.
pub(crate) fn put_value(value: &RowValue) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        RowValue::Log(value) => put_log(&mut out, value),
        RowValue::Cursor(state) => entry::put_cursor(&mut out, state),
        RowValue::Producer(window) => entry::put_window(&mut out, window),
        RowValue::Row(value) => out.put_slice(value),
        RowValue::Subject { first, last, newest } => {
            out.put_u64_le(*first);
            out.put_u64_le(*last);
            put_length(&mut out, newest.len());
            newest.iter().for_each(|offset| out.put_u64_le(*offset));
        }
        RowValue::Refs(refs) => {
            put_length(&mut out, refs.len());
            for (place, held) in refs {
                out.put_u64_le(*place);
                out.put_u64_le(held.log.0);
                out.put_u64_le(held.offset);
                out.put_u8(held.priority);
                out.put_u32_le(held.deliveries);
                out.put_i64_le(held.not_before_ms);
            }
        }
        RowValue::Deleted(offsets) => {
            put_length(&mut out, offsets.len());
            offsets.iter().for_each(|offset| out.put_u16_le(*offset));
        }
        RowValue::Once(offset, at_ms) => {
            out.put_u64_le(*offset);
            out.put_i64_le(*at_ms);
        }
    }
    out
}

fn put_log(out: &mut Vec<u8>, value: &LogValue) {
    entry::put_log(out, &value.row);
    entry::put_policy(out, value.policy.as_deref().unwrap_or(&Policy::default()));
    out.put_u64_le(value.counted_from);
    out.put_u64_le(value.visible);
    out.put_u64_le(value.visible_bytes);
    out.put_u64_le(value.bytes);
    put_length(out, value.runs.len());
    for run in &value.runs {
        out.put_u64_le(run.base);
        out.put_u64_le(run.last);
        out.put_u64_le(run.file);
        out.put_u64_le(run.section.0);
        out.put_u32_le(run.section.1);
        out.put_u32_le(run.bytes);
        out.put_i64_le(run.max_timestamp_ms);
        out.put_i64_le(run.appended_ms);
    }
}

/// Reads a row back.
///
/// # Errors
///
/// [`BadEntry`] when it is of a newer version.
pub(crate) fn row(key: &Bytes, value: Bytes) -> Result<(RowKey, RowValue), BadEntry> {
    let bad = BadEntry("key of a row");
    let mut rest = key.clone();
    let tag = rest.try_get_u8().map_err(|_| bad)?;
    if tag == 4 {
        let length = usize::from(rest.try_get_u8().map_err(|_| bad)?);
        let table = rest.get(..length).ok_or(bad)?;
        let table: Arc<str> = Arc::from(std::str::from_utf8(table).map_err(|_| bad)?);
        rest.advance(length);
        return Ok((RowKey::Row(table, rest), RowValue::Row(value)));
    }
    let log = LogId(rest.try_get_u64().map_err(|_| bad)?);
    let mut fields = Fields { rest: value, what: "value of a row" };
    Ok(match tag {
        1 => (RowKey::Log(log), RowValue::Log(log_value(&mut fields)?)),
        2 => (RowKey::Cursor(rest, log), RowValue::Cursor(entry::cursor(&mut fields)?)),
        3 => {
            let id = rest.try_get_i64().map_err(|_| bad)?;
            (RowKey::Producer(log, id), RowValue::Producer(entry::window(&mut fields)?))
        }
        5 => {
            let subject = Subject::from_canonical(rest).map_err(|_| bad)?;
            let (first, last) = (fields.u64()?, fields.u64()?);
            let newest = fields.list(8, Fields::u64)?;
            (RowKey::Subject(log, subject), RowValue::Subject { first, last, newest })
        }
        6 => {
            let block = rest.try_get_u64().map_err(|_| bad)?;
            let refs = fields.list(37, |fields| {
                let place = fields.u64()?;
                let (log, offset) = (LogId(fields.u64()?), fields.u64()?);
                let (priority, deliveries) = (fields.u8()?, fields.u32()?);
                let not_before_ms = fields.i64()?;
                Ok((place, Ref { log, offset, priority, deliveries, not_before_ms }))
            })?;
            (RowKey::Refs(log, block), RowValue::Refs(refs))
        }
        7 => {
            let block = rest.try_get_u64().map_err(|_| bad)?;
            (RowKey::Deleted(log, block), RowValue::Deleted(fields.list(2, Fields::u16)?))
        }
        8 => {
            let id = rest.try_get_u128().map_err(|_| bad)?;
            (RowKey::Once(log, id), RowValue::Once(fields.u64()?, fields.i64()?))
        }
        _ => return Err(BadEntry("kind of a row")),
    })
}

fn log_value(fields: &mut Fields) -> Result<LogValue, BadEntry> {
    Ok(LogValue {
        row: entry::log(fields)?,
        policy: Some(entry::policy(fields)?).filter(|p| *p != Policy::default()).map(Box::new),
        counted_from: fields.u64()?,
        visible: fields.u64()?,
        visible_bytes: fields.u64()?,
        bytes: fields.u64()?,
        runs: fields.list(56, |fields| {
            Ok(Run {
                base: fields.u64()?,
                last: fields.u64()?,
                file: fields.u64()?,
                section: (fields.u64()?, fields.u32()?),
                bytes: fields.u32()?,
                max_timestamp_ms: fields.i64()?,
                appended_ms: fields.i64()?,
            })
        })?,
    })
}

#[cfg(test)]
mod tests {
    use storage::memory::image::{LogRow, Window, WindowBatch};
    use storage::{CursorState, Mode, Pending};

    use super::*;

    fn rows() -> Vec<(RowKey, RowValue)> {
        let log = LogId(7);
        let row = LogRow {
            log,
            mode: Mode::Async,
            first: 2,
            next: 9,
            lease: 4,
            epoch: 5,
            dropped: false,
        };
        let run = Run {
            base: 1,
            last: 8,
            file: 3 << 32 | 4,
            section: (4096, 77),
            bytes: 900,
            max_timestamp_ms: -1,
            appended_ms: 12,
        };
        let value = LogValue {
            row,
            policy: Some(Box::new(Policy { max_records: Some(5), ..Policy::default() })),
            counted_from: 3,
            visible: 4,
            visible_bytes: 5,
            bytes: 6,
            runs: vec![run],
        };
        let pending = vec![Pending { offset: 3, deliveries: 1, deadline_ms: 9 }];
        let done = [4..5, 7..9].to_vec();
        let batch = WindowBatch { first_sequence: 1, last_sequence: 2, base: 3, last: 4 };
        let window = Window { epoch: 1, batches: [batch].into() };
        let held = Ref { log: LogId(2), offset: 8, priority: 1, deliveries: 3, not_before_ms: -4 };
        let subject = Subject::from_canonical(Bytes::from_static(b"a/b")).expect("canonical");
        vec![
            (RowKey::Log(log), RowValue::Log(value)),
            (
                RowKey::Cursor(Bytes::from("name"), log),
                RowValue::Cursor(CursorState { floor: 3, done, pending }),
            ),
            (RowKey::Producer(log, -5), RowValue::Producer(window)),
            (RowKey::Row("table".into(), Bytes::from("k")), RowValue::Row(Bytes::from("v"))),
            (
                RowKey::Subject(log, subject),
                RowValue::Subject { first: 1, last: 6, newest: vec![5, 6] },
            ),
            (RowKey::Refs(log, 2), RowValue::Refs(vec![(513, held)])),
            (RowKey::Deleted(log, 0), RowValue::Deleted(vec![0, 9, u16::MAX])),
            (RowKey::Once(log, u128::MAX), RowValue::Once(4, 5)),
        ]
    }

    #[test]
    fn every_row_reads_back() {
        for (key, value) in rows() {
            let read = row(&put_key(&key).into(), put_value(&value).into());
            assert_eq!(read, Ok((key, value)));
        }
    }

    #[test]
    fn keys_order_as_their_bytes() {
        let mut keys: Vec<RowKey> = rows().into_iter().map(|(key, _)| key).collect();
        for n in [1, 300] {
            let log = LogId(n);
            let names = ["a", "b", "ab"].map(Bytes::from);
            for name in &names {
                let subject = Subject::from_canonical(name.clone()).expect("canonical");
                keys.extend([RowKey::Cursor(name.clone(), log), RowKey::Subject(log, subject)]);
                let row = |table: &Bytes| {
                    let table = String::from_utf8_lossy(table).into_owned();
                    RowKey::Row(table.into(), name.clone())
                };
                keys.extend(names.iter().map(row));
            }
            keys.extend([-1, 0, 1].map(|id| RowKey::Producer(log, id)));
            keys.extend([RowKey::Log(log), RowKey::Refs(log, n), RowKey::Deleted(log, n)]);
            keys.push(RowKey::Once(log, n.into()));
        }
        for one in &keys {
            for other in &keys {
                let bytes = put_key(one).cmp(&put_key(other));
                assert_eq!(order(one, other), bytes, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn rows_that_are_cut_are_refused_without_a_panic() {
        for (key, value) in rows() {
            let (key_bytes, value_bytes) = (put_key(&key), put_value(&value));
            for cut in 0..key_bytes.len() {
                let _ = row(&Bytes::copy_from_slice(&key_bytes[..cut]), value_bytes.clone().into());
            }
            for cut in 0..value_bytes.len() {
                let told = row(&key_bytes.clone().into(), value_bytes[..cut].to_vec().into());
                assert!(told.is_err() || matches!(value, RowValue::Row(_)), "{key:?} {cut}");
            }
        }
    }
}
