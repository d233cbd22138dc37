//! Where a session stands in one log.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use protocol::{Matched, Message};
use storage::CursorState;

/// Ranges above the floor that the engine keeps; what is beyond is delivered again after a crash.
const DONE_RANGES_MAX: usize = 4096;

/// Where a session stands in one log.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    pub(super) next: u64,
    pub(super) following: bool,
    pub(super) pending: VecDeque<(u64, Arc<Message>, Matched)>,
    pub(super) pending_bytes: usize,
    /// As it was last kept.
    pub(super) kept: Option<CursorState>,
    /// The flush that is under way with that, or 0.
    pub(super) flush: u64,
    pub(super) inflight: BTreeSet<u64>,
    pub(super) done: BTreeSet<u64>,
    /// Delivered to an earlier owner and not settled.
    pub(super) returned: BTreeSet<u64>,
}

impl Cursor {
    pub(crate) fn at(next: u64) -> Self {
        Self { next, following: true, ..Self::default() }
    }

    pub(crate) fn restored(state: &CursorState) -> Self {
        Self {
            next: state.floor,
            done: state.done.iter().flat_map(|range| range.clone()).collect(),
            ..Self::default()
        }
    }

    /// The after-image that is kept.
    pub(crate) fn state(&mut self, processed: u64) -> CursorState {
        let position = if self.following { self.next.max(processed) } else { self.next };
        let floor = [
            self.inflight.first().copied(),
            self.returned.first().copied(),
            self.pending.front().map(|(offset, ..)| *offset),
            Some(position),
        ]
        .into_iter()
        .flatten()
        .min()
        .expect("the position is always there");
        self.done = self.done.split_off(&floor);
        let mut done: Vec<std::ops::Range<u64>> = Vec::new();
        for offset in &self.done {
            if let Some(range) = done.last_mut().filter(|range| range.end == *offset) {
                range.end += 1;
            } else if done.len() < DONE_RANGES_MAX {
                done.push(*offset..*offset + 1);
            } else {
                break;
            }
        }
        CursorState { floor, done, pending: Vec::new() }
    }

    /// The first record that it holds.
    pub(crate) fn floor(&self, processed: u64) -> u64 {
        let position = if self.following { self.next.max(processed) } else { self.next };
        let others = [
            self.inflight.first().copied(),
            self.returned.first().copied(),
            self.pending.front().map(|(offset, ..)| *offset),
        ];
        others.into_iter().flatten().fold(position, u64::min)
    }

    /// Lets go of everything below an offset; how many records it was not done with, and how many
    /// of these were with the owner.
    pub(super) fn lose(&mut self, to: u64, processed: u64) -> (u64, u32) {
        let floor = self.floor(processed);
        if to <= floor {
            return (0, 0);
        }
        let lost = (to - floor).saturating_sub(self.done.range(floor..to).count() as u64);
        let before = self.inflight.len();
        self.inflight = self.inflight.split_off(&to);
        let with_owner = u32::try_from(before - self.inflight.len()).unwrap_or(u32::MAX);
        self.returned = self.returned.split_off(&to);
        self.pending.retain(|(offset, ..)| *offset >= to);
        self.pending_bytes = self.pending.iter().map(|(_, m, _)| m.record.size()).sum();
        self.next = self.next.max(to);
        (lost, with_owner)
    }

    /// Whether the session has yet to come to an offset.
    pub(super) fn is_ahead(&self, offset: u64) -> bool {
        !self.following && self.next <= offset
    }

    /// Whether it goes on by reading its log.
    pub(super) fn is_behind(&self) -> bool {
        !self.following && self.pending.is_empty()
    }

    pub(super) fn clear_pending(&mut self) {
        self.pending.clear();
        self.pending_bytes = 0;
    }

    pub(super) fn take_pending(&mut self) -> Option<(u64, Arc<Message>, Matched)> {
        let first = self.pending.pop_front()?;
        self.pending_bytes = self.pending_bytes.saturating_sub(first.1.record.size());
        Some(first)
    }

    /// The owner is gone: the next one begins at the oldest that is not settled.
    pub(super) fn rewind(&mut self, processed: u64) {
        let floor = self.state(processed).floor;
        self.returned.append(&mut self.inflight);
        self.clear_pending();
        self.next = floor;
        self.following = false;
    }
}
