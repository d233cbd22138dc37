//! The bodies of frames: batches with their columns, and lists of after-images.
//!
//! ```text
//! DATA  [log: u64][base: u64][count: u32][codec: u8][max timestamp: i64][expiry class: u8]
//!       [payload length: u32][payload: record batch v2]
//!       subjects  [runs: u32]([records: u32][length: u32][subject])*
//!       targets   [n: u32]([index: u32][queue: u64][place: u64][priority: u8])*
//!       producer  [0] or [1][id: i64][epoch: i16][first sequence: i32][count: i32]
//!       once      [n: u32]([index: u32][id: u128])*
//! META  ([tag: u8][image])*
//! ```
//!
//! All integers are little endian, but for those inside of a record batch.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};
use model::subject::Subject;
use storage::memory::image::{BatchImage, Image, LogRow, Target, Window, WindowBatch};
use storage::{
    CursorState, LogId, Mode, Offset, Pending, Policy, Producer, Released, Subjects, WhenFull,
};

use crate::fields::{BadEntry, Fields, put_bytes, put_length, put_numbers};
use crate::frame::Frame;

const DATA_HEADER_BYTES: usize = 34;

/// Appends the body of a DATA frame; `payload` appends the batch.
pub(crate) fn put_batch(out: &mut Vec<u8>, image: &BatchImage, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_u64_le(image.log.0);
    out.put_u64_le(image.base);
    put_length(out, image.count());
    out.put_u8(0);
    out.put_i64_le(image.max_timestamp_ms);
    out.put_u8(0);
    out.put_u32_le(0);
    payload(out);
    let length = out.len() - start - DATA_HEADER_BYTES;
    let length = u32::try_from(length).expect("a frame is at most 16 MiB");
    let codec = out.get(start + DATA_HEADER_BYTES + 22).copied().unwrap_or_default() & 7;
    crate::frame::put(out, start + 20, &[codec]);
    crate::frame::put(out, start + 30, &length.to_le_bytes());
    put_subjects(out, &image.subjects, image.count());
    put_length(out, image.targets.len());
    for target in &image.targets {
        out.put_u32_le(target.index);
        out.put_u64_le(target.queue.0);
        out.put_u64_le(target.place);
        out.put_u8(target.priority);
    }
    match &image.producer {
        None => out.put_u8(0),
        Some(producer) => {
            out.put_u8(1);
            out.put_i64_le(producer.id);
            out.put_i16_le(producer.epoch);
            out.put_i32_le(producer.first_sequence);
            out.put_i32_le(producer.count);
        }
    }
    put_length(out, image.once.len());
    for (index, id) in &image.once {
        out.put_u32_le(*index);
        out.put_u128_le(*id);
    }
}

fn put_subjects(out: &mut Vec<u8>, subjects: &Subjects, count: usize) {
    let put_run = |out: &mut Vec<u8>, records: usize, subject: &Subject| {
        put_length(out, records);
        put_bytes(out, subject.as_bytes());
    };
    match subjects {
        Subjects::One(subject) => {
            out.put_u32_le(1);
            put_run(out, count, subject);
        }
        Subjects::Each(subjects) => {
            let runs = || subjects.chunk_by(|one, other| one == other);
            put_length(out, runs().count());
            for run in runs() {
                if let Some(subject) = run.first() {
                    put_run(out, run.len(), subject);
                }
            }
        }
    }
}

/// The batch in a DATA frame, without looking at its columns.
///
/// # Errors
///
/// [`BadEntry`] when the frame is not a DATA frame of this version.
pub(crate) fn payload(frame: &Frame) -> Result<Bytes, BadEntry> {
    let bad = BadEntry("payload");
    let mut header = frame.body.get(30..DATA_HEADER_BYTES).ok_or(bad)?;
    let length = usize::try_from(header.get_u32_le()).map_err(|_| bad)?;
    let end = DATA_HEADER_BYTES.checked_add(length).filter(|end| *end <= frame.body.len());
    Ok(frame.body.slice(DATA_HEADER_BYTES..end.ok_or(bad)?))
}

/// The batch in a DATA frame that was encoded here, whose bytes begin with the frame's header.
pub(crate) fn payload_of(frame: &[u8]) -> Option<&[u8]> {
    let body = frame.get(crate::frame::HEADER_BYTES..)?;
    let length = usize::try_from(crate::frame::u32_at(body, 30)?).ok()?;
    body.get(DATA_HEADER_BYTES..DATA_HEADER_BYTES + length)
}

/// The image in a DATA frame of a group that was written at that time.
///
/// # Errors
///
/// [`BadEntry`] when the frame is not a DATA frame of this version.
pub(crate) fn batch(frame: &Frame, appended_ms: i64) -> Result<BatchImage, BadEntry> {
    let payload = payload(frame)?;
    let mut head = Fields { rest: frame.body.clone(), what: "header" };
    let log = LogId(head.u64()?);
    let base = head.u64()?;
    let count = head.u32()?;
    head.take(1)?;
    let max_timestamp_ms = head.u64()?.cast_signed();
    let last = base.checked_add(u64::from(count)).and_then(|end| end.checked_sub(1));
    let last = last.filter(|last| *last >= base).ok_or(BadEntry("count"))?;
    let mut fields = Fields { rest: frame.body.clone(), what: "subjects" };
    fields.take(DATA_HEADER_BYTES + payload.len())?;
    let subjects = subjects(&mut fields, count)?;
    fields.what = "targets";
    let targets = fields.list(21, |fields| {
        let (index, queue) = (fields.u32()?, LogId(fields.u64()?));
        Ok(Target { index, queue, place: fields.u64()?, priority: fields.u8()? })
    })?;
    fields.what = "producer";
    let producer = match fields.u8()? {
        0 => None,
        _ => Some(Producer {
            id: fields.u64()?.cast_signed(),
            epoch: fields.u16()?.cast_signed(),
            first_sequence: fields.u32()?.cast_signed(),
            count: fields.u32()?.cast_signed(),
        }),
    };
    fields.what = "ids of messages";
    let once = fields.list(20, |fields| Ok((fields.u32()?, fields.u128()?)))?;
    Ok(BatchImage {
        log,
        base,
        last,
        max_timestamp_ms,
        appended_ms,
        subjects,
        targets,
        producer,
        once,
    })
}

fn subjects(fields: &mut Fields, count: u32) -> Result<Subjects, BadEntry> {
    let bad = BadEntry("subjects");
    let runs = fields.list(8, |fields| {
        let records = usize::try_from(fields.u32()?).map_err(|_| bad)?;
        let name = fields.bytes()?;
        Ok((records, Subject::from_canonical(Bytes::copy_from_slice(&name)).map_err(|_| bad)?))
    })?;
    let count = usize::try_from(count).map_err(|_| bad)?;
    if runs.iter().try_fold(0_usize, |sum, (records, _)| sum.checked_add(*records)) != Some(count) {
        return Err(bad);
    }
    match runs.as_slice() {
        [(_, subject)] => Ok(Subjects::One(subject.clone())),
        several => {
            let each = several.iter().flat_map(|(n, subject)| std::iter::repeat_n(subject, *n));
            Ok(Subjects::Each(each.cloned().collect()))
        }
    }
}

/// Tags of images.
mod tag {
    pub(super) const LOG: u8 = 1;
    pub(super) const DELETE: u8 = 2;
    pub(super) const CURSOR: u8 = 3;
    pub(super) const SETTLE: u8 = 4;
    pub(super) const ROW: u8 = 5;
    pub(super) const PRODUCER: u8 = 6;
    pub(super) const POLICY: u8 = 7;
    pub(super) const RELEASE: u8 = 8;
}

/// Appends one image of a META frame; a batch is none.
pub(crate) fn put_image(out: &mut Vec<u8>, image: &Image) {
    match image {
        Image::Batch(_) => debug_assert!(false, "a batch has a frame of its own"),
        Image::Log(row) => {
            out.put_u8(tag::LOG);
            put_log(out, row);
        }
        Image::Policy { log, policy } => {
            out.put_u8(tag::POLICY);
            out.put_u64_le(log.0);
            put_policy(out, policy);
        }
        Image::Delete { log, ranges } => {
            out.put_u8(tag::DELETE);
            out.put_u64_le(log.0);
            put_ranges(out, ranges);
        }
        Image::Release { queue, states } => {
            out.put_u8(tag::RELEASE);
            out.put_u64_le(queue.0);
            put_length(out, states.len());
            for state in states {
                out.put_u64_le(state.place);
                out.put_u32_le(state.deliveries);
                out.put_i64_le(state.not_before_ms);
            }
        }
        Image::Settle { queue, places } => {
            out.put_u8(tag::SETTLE);
            put_numbers(out, *queue, places);
        }
        Image::Cursor { name, log, state } => {
            out.put_u8(tag::CURSOR);
            put_bytes(out, name);
            out.put_u64_le(log.0);
            out.put_u8(u8::from(state.is_some()));
            if let Some(state) = state {
                put_cursor(out, state);
            }
        }
        Image::Row { table, key, value } => {
            out.put_u8(tag::ROW);
            put_bytes(out, table.as_bytes());
            put_bytes(out, key);
            out.put_u8(u8::from(value.is_some()));
            if let Some(value) = value {
                put_bytes(out, value);
            }
        }
        Image::Producer { log, id, window } => {
            out.put_u8(tag::PRODUCER);
            out.put_u64_le(log.0);
            out.put_i64_le(*id);
            put_window(out, window);
        }
    }
}

pub(crate) fn put_log(out: &mut Vec<u8>, row: &LogRow) {
    out.put_u64_le(row.log.0);
    out.put_u8(row.mode as u8);
    out.put_u8(u8::from(row.dropped));
    out.put_u64_le(row.first);
    out.put_u64_le(row.next);
    out.put_u64_le(row.lease);
    out.put_i32_le(row.epoch);
}

pub(crate) fn log(fields: &mut Fields) -> Result<LogRow, BadEntry> {
    Ok(LogRow {
        log: LogId(fields.u64()?),
        mode: mode(fields.u8()?)?,
        dropped: fields.u8()? != 0,
        first: fields.u64()?,
        next: fields.u64()?,
        lease: fields.u64()?,
        epoch: fields.u32()?.cast_signed(),
    })
}

pub(crate) fn put_policy(out: &mut Vec<u8>, policy: &Policy) {
    out.put_u64_le(policy.max_records.unwrap_or(u64::MAX));
    out.put_u64_le(policy.max_bytes.unwrap_or(u64::MAX));
    out.put_u32_le(policy.max_per_subject.unwrap_or(0));
    out.put_u8(u8::from(policy.when_full == WhenFull::Refuse));
    out.put_u8(u8::from(policy.until_consumed));
    out.put_u64_le(policy.once_ms);
}

pub(crate) fn policy(fields: &mut Fields) -> Result<Policy, BadEntry> {
    let some = |limit: u64| (limit != u64::MAX).then_some(limit);
    Ok(Policy {
        max_records: some(fields.u64()?),
        max_bytes: some(fields.u64()?),
        max_per_subject: Some(fields.u32()?).filter(|limit| *limit > 0),
        when_full: match fields.u8()? {
            0 => WhenFull::DropOldest,
            _ => WhenFull::Refuse,
        },
        until_consumed: fields.u8()? != 0,
        once_ms: fields.u64()?,
    })
}

pub(crate) fn put_cursor(out: &mut Vec<u8>, state: &CursorState) {
    out.put_u64_le(state.floor);
    put_ranges(out, &state.done);
    put_length(out, state.pending.len());
    for pending in &state.pending {
        out.put_u64_le(pending.offset);
        out.put_u32_le(pending.deliveries);
        out.put_i64_le(pending.deadline_ms);
    }
}

pub(crate) fn cursor(fields: &mut Fields) -> Result<CursorState, BadEntry> {
    Ok(CursorState {
        floor: fields.u64()?,
        done: ranges(fields)?,
        pending: fields.list(20, |fields| {
            let (offset, deliveries) = (fields.u64()?, fields.u32()?);
            Ok(Pending { offset, deliveries, deadline_ms: fields.i64()? })
        })?,
    })
}

fn put_ranges(out: &mut Vec<u8>, ranges: &[Range<Offset>]) {
    put_length(out, ranges.len());
    for range in ranges {
        out.put_u64_le(range.start);
        out.put_u64_le(range.end);
    }
}

fn ranges(fields: &mut Fields) -> Result<Vec<Range<Offset>>, BadEntry> {
    fields.list(16, |fields| Ok(fields.u64()?..fields.u64()?))
}

pub(crate) fn put_window(out: &mut Vec<u8>, window: &Window) {
    out.put_i16_le(window.epoch);
    put_length(out, window.batches.len());
    for batch in &window.batches {
        out.put_i32_le(batch.first_sequence);
        out.put_i32_le(batch.last_sequence);
        out.put_u64_le(batch.base);
        out.put_u64_le(batch.last);
    }
}

pub(crate) fn window(fields: &mut Fields) -> Result<Window, BadEntry> {
    let epoch = fields.u16()?.cast_signed();
    let batches = fields.list(24, |fields| {
        Ok(WindowBatch {
            first_sequence: fields.u32()?.cast_signed(),
            last_sequence: fields.u32()?.cast_signed(),
            base: fields.u64()?,
            last: fields.u64()?,
        })
    })?;
    Ok(Window { epoch, batches: batches.into() })
}

/// The images in a META frame, in order.
///
/// # Errors
///
/// [`BadEntry`] when one of them is of a newer version.
pub(crate) fn images(frame: &Frame) -> Result<Vec<Image>, BadEntry> {
    let mut fields = Fields { rest: frame.body.clone(), what: "image" };
    let mut images = Vec::new();
    while !fields.rest.is_empty() {
        images.push(image(&mut fields)?);
    }
    Ok(images)
}

fn image(fields: &mut Fields) -> Result<Image, BadEntry> {
    Ok(match fields.u8()? {
        tag::LOG => Image::Log(log(fields)?),
        tag::POLICY => Image::Policy { log: LogId(fields.u64()?), policy: policy(fields)? },
        tag::DELETE => Image::Delete { log: LogId(fields.u64()?), ranges: ranges(fields)? },
        tag::SETTLE => Image::Settle { queue: LogId(fields.u64()?), places: fields.numbers()? },
        tag::RELEASE => Image::Release {
            queue: LogId(fields.u64()?),
            states: fields.list(20, |fields| {
                let (place, deliveries) = (fields.u64()?, fields.u32()?);
                Ok(Released { place, deliveries, not_before_ms: fields.i64()? })
            })?,
        },
        tag::CURSOR => {
            let name = fields.bytes()?;
            let log = LogId(fields.u64()?);
            let state = if fields.u8()? == 0 { None } else { Some(cursor(fields)?) };
            Image::Cursor { name, log, state }
        }
        tag::ROW => {
            let table = String::from_utf8(fields.bytes()?.to_vec());
            let table = Cow::Owned(table.map_err(|_| BadEntry("table"))?);
            let key = fields.bytes()?;
            let value = if fields.u8()? == 0 { None } else { Some(fields.bytes()?) };
            Image::Row { table, key, value }
        }
        tag::PRODUCER => {
            let (log, id) = (LogId(fields.u64()?), fields.i64()?);
            Image::Producer { log, id, window: window(fields)? }
        }
        _ => return Err(BadEntry("kind")),
    })
}

fn mode(byte: u8) -> Result<Mode, BadEntry> {
    let known = [Mode::Memory, Mode::Async, Mode::Durable];
    known.into_iter().find(|mode| *mode as u8 == byte).ok_or(BadEntry("mode"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameKind, decode};
    use crate::group::GroupBuilder;

    /// What a frame with that body reads as.
    fn frame(kind: FrameKind, flags: u8, body: impl FnOnce(&mut Vec<u8>)) -> Frame {
        let mut group = GroupBuilder::new();
        group.push((kind, flags, 1), |_| {}, body).expect("short");
        let bytes = Bytes::copy_from_slice(group.seal(&[1; 16], 1, 0, 0));
        decode(&bytes, 64, crate::frame::seed(&[1; 16])).expect("valid")
    }

    fn subject(text: &'static str) -> Subject {
        Subject::from_canonical(Bytes::from_static(text.as_bytes())).expect("canonical")
    }

    fn image() -> BatchImage {
        let (a, b) = (subject("a/b"), subject("c"));
        BatchImage {
            log: LogId(3),
            base: 10,
            last: 12,
            max_timestamp_ms: -5,
            subjects: Subjects::Each([a.clone(), a, b].into()),
            targets: vec![Target { index: 2, queue: LogId(9), place: 77, priority: 3 }],
            appended_ms: 6,
            once: vec![(1, u128::MAX - 5)],
            producer: Some(Producer { id: 4, epoch: 2, first_sequence: 8, count: 3 }),
        }
    }

    #[test]
    fn a_batch_and_its_columns_read_back() {
        let written = image();
        let frame = frame(FrameKind::Data, 0, |out| {
            put_batch(out, &written, |out| out.extend_from_slice(&[7; 70]));
        });
        assert_eq!(payload(&frame).as_deref(), Ok(&[7; 70][..]));
        assert_eq!(format!("{:?}", batch(&frame, 6)), format!("{:?}", Ok::<_, BadEntry>(written)));
    }

    #[test]
    fn every_image_reads_back() {
        let window = Window {
            epoch: -1,
            batches: [WindowBatch { first_sequence: 1, last_sequence: 2, base: 3, last: 4 }].into(),
        };
        let row = LogRow {
            log: LogId(1),
            mode: Mode::Async,
            first: 2,
            next: 3,
            lease: 4,
            epoch: 5,
            dropped: true,
        };
        let key = Bytes::from("k");
        let done = std::iter::once(2..3).collect();
        let pending = vec![Pending { offset: 1, deliveries: 7, deadline_ms: -1 }];
        let policy = Policy {
            max_records: Some(3),
            max_bytes: None,
            max_per_subject: Some(1),
            when_full: WhenFull::Refuse,
            until_consumed: true,
            once_ms: 9,
        };
        let released = Released { place: 4, deliveries: 2, not_before_ms: 8 };
        let written = [
            Image::Log(row),
            Image::Delete { log: LogId(1), ranges: vec![1..3, 9..u64::MAX] },
            Image::Policy { log: LogId(1), policy },
            Image::Policy { log: LogId(1), policy: Policy::default() },
            Image::Release { queue: LogId(2), states: vec![released] },
            Image::Settle { queue: LogId(2), places: vec![] },
            Image::Cursor { name: key.clone(), log: LogId(1), state: None },
            Image::Cursor {
                name: key.clone(),
                log: LogId(1),
                state: Some(CursorState { floor: 1, done, pending }),
            },
            Image::Row { table: "t".into(), key: key.clone(), value: Some(Bytes::new()) },
            Image::Row { table: "t".into(), key, value: None },
            Image::Producer { log: LogId(1), id: -7, window },
        ];
        let frame = frame(FrameKind::Meta, 0, |out| {
            for image in &written {
                put_image(out, image);
            }
        });
        let read = images(&frame).expect("valid");
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
    }

    #[test]
    fn bodies_that_are_cut_or_foreign_are_refused_without_a_panic() {
        let mut body = Vec::new();
        put_batch(&mut body, &image(), |out| out.extend_from_slice(&[7; 70]));
        for cut in 0..body.len() {
            let frame = frame(FrameKind::Data, 0, |out| out.extend_from_slice(&body[..cut]));
            assert!(batch(&frame, 0).is_err(), "{cut}");
        }
        for at in 0..body.len() {
            let mut bad = body.clone();
            bad[at] = 0xff;
            let _ = batch(&frame(FrameKind::Data, 0, |out| out.extend_from_slice(&bad)), 0);
            let _ = images(&frame(FrameKind::Meta, 0, |out| out.extend_from_slice(&bad)));
        }
    }
}
