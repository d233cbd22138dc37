//! Reading one subject of a log as if it were a log: sparse offsets, the same batches.

use bytes::Bytes;
use model::filter::Filter;
use model::subject::Subject;
use storage::batch;
use storage::{Engine, LogId, ReadError, ReadLimits, StoredBatch, Subjects};

/// Bytes of the log that one step of a reading looks at.
const STEP_BYTES: usize = 256 * 1024;

/// The ends of a view: first offset, and the offset after the last record.
pub(crate) fn bounds(engine: &dyn Engine, log: LogId, subject: &Subject) -> (u64, u64) {
    match engine.subject(log, subject) {
        Ok(Some(span)) => (span.first, span.last + 1),
        Ok(None) | Err(_) => {
            let end = engine.bounds(log).map_or(0, |bounds| bounds.end);
            (end, end)
        }
    }
}

/// Whether a record of the subject is visible. A log that cannot be read counts as one that has it:
/// what is there must not be made anew.
pub(crate) fn holds(engine: &dyn Engine, log: LogId, subject: &Subject) -> bool {
    engine.subject(log, subject).map_or(true, |span| span.is_some())
}

/// Batches with the records of `subject` in `from..until`, at most about `max_bytes`.
pub(crate) fn read(
    engine: &dyn Engine,
    log: LogId,
    subject: &Subject,
    range: std::ops::Range<u64>,
    max_bytes: usize,
) -> Result<Vec<Bytes>, ReadError> {
    let filter = Filter::literal(subject);
    let mut out: Vec<Bytes> = Vec::new();
    let mut bytes = 0;
    let mut from = range.start;
    while let Some(next) = engine.next(log, &filter, from)?.filter(|next| *next < range.end) {
        let limits = ReadLimits { max_bytes: STEP_BYTES, held: false };
        let batches = engine.read(log, next, limits)?;
        if batches.is_empty() {
            break;
        }
        for stored in &batches {
            let Some(part) = only(stored, subject, range.end) else { continue };
            if !out.is_empty() && bytes + part.len() > max_bytes {
                return Ok(out);
            }
            bytes += part.len();
            out.push(part);
        }
        from = batches.last().map_or(next, |last| last.last) + 1;
    }
    Ok(out)
}

/// The batch with the records of one subject alone; `None` if it has none.
fn only(stored: &StoredBatch, subject: &Subject, until: u64) -> Option<Bytes> {
    match &stored.subjects {
        Subjects::One(one) if one != subject => None,
        Subjects::One(_) if stored.last < until => Some(stored.bytes.clone()),
        Subjects::One(_) | Subjects::Each(_) => batch::without(&stored.bytes, |offset| {
            let index = usize::try_from(offset.wrapping_sub(stored.base)).unwrap_or(usize::MAX);
            offset >= until || stored.subjects.of(index) != Some(subject)
        })
        .ok()
        .flatten(),
    }
}
