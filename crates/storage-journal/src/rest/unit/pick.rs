//! Which subjects of a run a filter picks: its dictionary is sorted, so a literal is looked up, and
//! of a filter with wildcards only the names that begin as it does are tried.

use model::filter::{Filter, FilterToken};

use super::section::RunIndex;

/// Subjects of a run, by their numbers.
#[derive(Debug)]
pub(super) enum Pick {
    None,
    All,
    One(u32),
    Several(Vec<u64>),
}

impl Pick {
    pub(super) fn contains(&self, id: u32) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::One(one) => *one == id,
            Self::Several(bits) => {
                let word = usize::try_from(id / 64).ok().and_then(|word| bits.get(word));
                word.is_some_and(|word| word >> (id % 64) & 1 == 1)
            }
        }
    }
}

/// What every matching subject begins with: the tokens before the first wildcard.
fn literal_prefix(filter: &Filter) -> Vec<u8> {
    let mut prefix = Vec::new();
    for (at, token) in filter.tokens().enumerate() {
        match token {
            FilterToken::Literal(literal) => {
                if at > 0 {
                    prefix.push(b'/');
                }
                prefix.extend_from_slice(literal);
            }
            FilterToken::One
            | FilterToken::TailZero
            | FilterToken::TailOne
            | FilterToken::AnyZero => break,
        }
    }
    prefix
}

impl RunIndex {
    /// The subjects that match. `None` when a name cannot be read.
    pub(super) fn pick(&self, filter: &Filter) -> Option<Pick> {
        let mut pick = Vec::new();
        let mut count = 0_u32;
        if let Some(subject) = filter.as_literal() {
            let id = self.lower_bound(subject.as_bytes());
            if self.bytes_of(id) == Some(subject.as_bytes()) {
                return Some(if self.subject_count() == 1 { Pick::All } else { Pick::One(id) });
            }
            return Some(Pick::None);
        }
        let prefix = literal_prefix(filter);
        for id in self.lower_bound(&prefix)..self.subject_count() {
            if !self.bytes_of(id)?.starts_with(&prefix) {
                break;
            }
            if filter.matches(&self.subject(id)?) {
                let word = usize::try_from(id / 64).ok()?;
                pick.resize(pick.len().max(word + 1), 0_u64);
                *pick.get_mut(word)? |= 1 << (id % 64);
                count += 1;
            }
        }
        Some(match count {
            0 => Pick::None,
            all if all == self.subject_count() => Pick::All,
            _ => Pick::Several(pick),
        })
    }

    /// The number of the first subject that is not below `name`.
    fn lower_bound(&self, name: &[u8]) -> u32 {
        let (mut low, mut high) = (0, self.subject_count());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.bytes_of(middle).is_some_and(|one| one < name) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use model::subject::Subject;
    use storage::LogId;

    use super::super::section::{Block, SectionDraft};
    use super::*;
    use crate::rest::FileId;

    fn subject(text: &'static str) -> Subject {
        Subject::from_canonical(Bytes::from_static(text.as_bytes())).expect("canonical")
    }

    #[test]
    fn filters_are_matched_against_the_dictionary() {
        let names = ["", "$SYS/a", "a", "a-b", "a/b", "a/b/c", "a/c", "b"].map(subject);
        let block = Block {
            last: 1,
            records: 2,
            length: 100,
            batches: 1,
            column_length: 1,
            ..Block::default()
        };
        let (log, position) = (LogId(3), 64);
        let (blocks, subjects) = (&[block][..], &names[..]);
        let draft = SectionDraft { log, position, blocks, subjects, columns: b"c" };
        let mut bytes = Vec::new();
        let length = draft.put(&mut bytes, FileId(1)).expect("short");
        let index = RunIndex::decode(&bytes.into(), FileId(1), (500, length)).expect("as written");
        let all = [
            "#", "+", "a", "a/#", "a/+", "a/b/#", "+/b", "+/b/#", "b", "c", "c/#", "a/b/c/d", "/+",
            "$SYS/#",
        ];
        for text in all {
            let filter = Filter::mqtt(&Bytes::from_static(text.as_bytes())).expect("valid");
            let pick = index.pick(&filter).expect("readable");
            for (id, name) in names.iter().enumerate() {
                assert_eq!(pick.contains(id as u32), filter.matches(name), "{text} {name}");
            }
        }
        let everything = index.pick(&Filter::everything(model::filter::Reach::All));
        assert!(matches!(everything, Some(Pick::All)));
    }
}
