//! The directory of a unit: what runs it has, for tools and for a lost manifest.

use bytes::{Buf, BufMut, Bytes};
use model::subject::Subject;
use storage::LogId;

use super::Holding;

/// What an entry takes without its subject.
const ENTRY_BYTES: usize = 80;
/// The length of a subject that is none: the records have several.
const SEVERAL: u32 = u32::MAX;

/// Appends one run.
pub(super) fn put_run(out: &mut Vec<u8>, run: &Holding) {
    for number in [run.log.0, run.base, run.last, run.records, run.bytes] {
        out.put_u64_le(number);
    }
    for clock in [run.max_timestamp_ms, run.appended_ms, run.oldest_appended_ms] {
        out.put_i64_le(clock);
    }
    out.put_u64_le(run.section.0);
    out.put_u32_le(run.section.1);
    match &run.one_subject {
        None => out.put_u32_le(SEVERAL),
        Some(subject) => {
            let name = subject.as_bytes();
            out.put_u32_le(u32::try_from(name.len()).expect("a subject is at most 64 KiB"));
            out.put_slice(name);
        }
    }
}

/// Reads a directory of so many runs. `None` when it is not one, or not in order.
pub(super) fn decode(mut bytes: Bytes, count: u64) -> Option<Vec<Holding>> {
    let count = usize::try_from(count).ok().filter(|n| *n <= bytes.len() / ENTRY_BYTES)?;
    let mut runs: Vec<Holding> = Vec::with_capacity(count);
    for _ in 0..count {
        let run = run(&mut bytes)?;
        if run.base > run.last || runs.last().is_some_and(|before| before.log >= run.log) {
            return None;
        }
        runs.push(run);
    }
    bytes.is_empty().then_some(runs)
}

fn run(bytes: &mut Bytes) -> Option<Holding> {
    if bytes.len() < ENTRY_BYTES {
        return None;
    }
    let mut run = Holding {
        log: LogId(bytes.get_u64_le()),
        base: bytes.get_u64_le(),
        last: bytes.get_u64_le(),
        records: bytes.get_u64_le(),
        bytes: bytes.get_u64_le(),
        max_timestamp_ms: bytes.get_i64_le(),
        appended_ms: bytes.get_i64_le(),
        oldest_appended_ms: bytes.get_i64_le(),
        section: (bytes.get_u64_le(), bytes.get_u32_le()),
        one_subject: None,
    };
    let length = bytes.get_u32_le();
    if length != SEVERAL {
        let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len())?;
        // A copy: who keeps the subject does not keep the directory.
        let name = Bytes::copy_from_slice(&bytes.split_to(length));
        run.one_subject = Some(Subject::from_canonical(name).ok()?);
    }
    Some(run)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(log: u64, one_subject: Option<Subject>) -> Holding {
        Holding {
            log: LogId(log),
            base: 2,
            last: 3,
            records: 4,
            bytes: 5,
            max_timestamp_ms: -6,
            appended_ms: 7,
            oldest_appended_ms: -8,
            section: (9, 10),
            one_subject,
        }
    }

    #[test]
    fn a_directory_reads_back_and_must_be_in_order() {
        let subject = Subject::from_canonical(Bytes::from_static(b"a/b")).expect("canonical");
        let runs = [run(1, None), run(2, Some(Subject::NONE)), run(5, Some(subject))];
        let mut bytes = Vec::new();
        for run in &runs {
            put_run(&mut bytes, run);
        }
        let bytes = Bytes::from(bytes);
        assert_eq!(decode(bytes.clone(), 3).as_deref(), Some(&runs[..]));
        assert_eq!(decode(bytes.clone(), 2), None, "bytes are left over");
        assert_eq!(decode(bytes, u64::MAX), None, "more than can be");
        let mut bytes = Vec::new();
        put_run(&mut bytes, &run(2, None));
        put_run(&mut bytes, &run(2, None));
        assert_eq!(decode(bytes.into(), 2), None, "twice the same log");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            count in 0_u64..4,
        ) {
            let _ = decode(bytes.into(), count);
        }
    }
}
