//! The committed offsets of a group, and the rows that keep them.
//!
//! ```text
//! key    [group bytes: u16][group][topic bytes: u16][topic][partition: i32]
//! value  [format: u8 = 1][flags: u8][offset: i64][leader epoch: i32][committed at, ms: i64]
//!        [kept until, ms: i64][metadata to the end]
//! flags  bit 0: by a member of a group; bit 1: kept until a time that the client chose
//! ```

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_codec::Text;

use super::bounds::{OFFSETS_KEPT, OFFSETS_PER_GROUP_MAX};

const FORMAT: u8 = 1;
const BY_MEMBER: u8 = 1;
const HAS_END: u8 = 2;
/// Bytes of a value without metadata.
const FIXED_BYTES: usize = 30;
/// Bytes of an offset in memory beside its metadata, about.
const OFFSET_BYTES: usize = 128;
/// Bytes of a topic in memory beside its name, about.
const TOPIC_BYTES: usize = 128;

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) committed_ms: i64,
    /// A time that the client chose (OffsetCommit 2 to 4).
    pub(super) kept_until_ms: Option<i64>,
    /// Committed by a member; else from outside of group management.
    pub(super) by_member: bool,
    pub(super) metadata: Text,
}

impl Committed {
    pub(super) fn to_row(&self) -> Bytes {
        let mut row = BytesMut::with_capacity(FIXED_BYTES + self.metadata.len());
        let end = if self.kept_until_ms.is_some() { HAS_END } else { 0 };
        row.put_u8(FORMAT);
        row.put_u8(if self.by_member { BY_MEMBER | end } else { end });
        row.put_i64(self.offset);
        row.put_i32(self.leader_epoch);
        row.put_i64(self.committed_ms);
        row.put_i64(self.kept_until_ms.unwrap_or(-1));
        row.put_slice(self.metadata.as_bytes());
        row.freeze()
    }

    /// None if the row is of another format.
    pub(super) fn from_row(mut row: &[u8]) -> Option<Self> {
        if row.len() < FIXED_BYTES || row.get_u8() != FORMAT {
            return None;
        }
        let flags = row.get_u8();
        let offset = row.get_i64();
        let leader_epoch = row.get_i32();
        let committed_ms = row.get_i64();
        let end = row.get_i64();
        Some(Self {
            offset,
            leader_epoch,
            committed_ms,
            kept_until_ms: (flags & HAS_END != 0).then_some(end),
            by_member: flags & BY_MEMBER != 0,
            metadata: Text::try_from(Bytes::copy_from_slice(row)).ok()?,
        })
    }

    /// Whether its time is over. `empty_since_ms` is none while the group has members; of an
    /// offset from outside only the commit counts.
    pub(super) fn expired(&self, now_ms: i64, empty_since_ms: Option<i64>) -> bool {
        if let Some(end) = self.kept_until_ms {
            return now_ms >= end;
        }
        let Some(empty_since_ms) = empty_since_ms else { return false };
        let since =
            if self.by_member { self.committed_ms.max(empty_since_ms) } else { self.committed_ms };
        let kept_ms = i64::try_from(OFFSETS_KEPT.as_millis()).unwrap_or(i64::MAX);
        now_ms.saturating_sub(since) >= kept_ms
    }
}

/// The key of an offset's row. Group and topic are bounded to fewer bytes than a length can tell.
pub(super) fn row_key(group: &Text, topic: &Text, partition: i32) -> Bytes {
    let mut key = BytesMut::with_capacity(8 + group.len() + topic.len());
    for name in [group, topic] {
        key.put_u16(u16::try_from(name.len()).unwrap_or(u16::MAX));
        key.put_slice(name.as_bytes());
    }
    key.put_i32(partition);
    key.freeze()
}

/// Group, topic and partition of a row's key.
pub(super) fn parse_row_key(mut key: &[u8]) -> Option<(Text, Text, i32)> {
    let group = take_name(&mut key)?;
    let topic = take_name(&mut key)?;
    Some((group, topic, i32::from_be_bytes(key.try_into().ok()?)))
}

fn take_name(key: &mut &[u8]) -> Option<Text> {
    let (length, rest) = key.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *key = rest;
    Text::try_from(Bytes::copy_from_slice(name)).ok()
}

/// The committed offsets of one group.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    topics: BTreeMap<Text, BTreeMap<i32, Committed>>,
    count: usize,
    bytes: usize,
}

impl Offsets {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, topic: &Text, partition: i32) -> Option<&Committed> {
        self.topics.get(topic)?.get(&partition)
    }

    /// Every topic with its partitions, in order.
    pub(super) fn topics(&self) -> impl Iterator<Item = (&Text, &BTreeMap<i32, Committed>)> {
        self.topics.iter()
    }

    /// Whether an offset may be put when the group may grow by `room` bytes. One that takes the
    /// place of another and is no longer always may.
    pub(super) fn admits(
        &self,
        topic: &Text,
        partition: i32,
        metadata: usize,
        room: usize,
    ) -> bool {
        if let Some(old) = self.get(topic, partition) {
            return metadata.saturating_sub(old.metadata.len()) <= room;
        }
        let named = if self.topics.contains_key(topic) { 0 } else { TOPIC_BYTES + topic.len() };
        self.count < OFFSETS_PER_GROUP_MAX && OFFSET_BYTES + named + metadata <= room
    }

    pub(super) fn put(&mut self, topic: &Text, partition: i32, committed: Committed) {
        if !self.topics.contains_key(topic) {
            self.bytes += TOPIC_BYTES + topic.len();
            self.topics.insert(topic.detached(), BTreeMap::new());
        }
        let Some(partitions) = self.topics.get_mut(topic) else { return };
        self.bytes += OFFSET_BYTES + committed.metadata.len();
        self.count += 1;
        if let Some(old) = partitions.insert(partition, committed) {
            self.bytes -= OFFSET_BYTES + old.metadata.len();
            self.count -= 1;
        }
    }

    /// Removes what `is_over` says; returns what was removed.
    pub(super) fn remove(&mut self, is_over: impl Fn(&Committed) -> bool) -> Vec<(Text, i32)> {
        let mut removed = Vec::new();
        self.topics.retain(|topic, partitions| {
            partitions.retain(|partition, committed| {
                let over = is_over(committed);
                if over {
                    self.bytes -= OFFSET_BYTES + committed.metadata.len();
                    self.count -= 1;
                    removed.push((topic.clone(), *partition));
                }
                !over
            });
            if partitions.is_empty() {
                self.bytes -= TOPIC_BYTES + topic.len();
            }
            !partitions.is_empty()
        });
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(metadata: &str) -> Committed {
        Committed {
            offset: 42,
            leader_epoch: -1,
            committed_ms: 1_700_000_000_000,
            kept_until_ms: None,
            by_member: true,
            metadata: Text::from(metadata),
        }
    }

    #[test]
    fn a_row_survives_the_way_to_disk_and_back() {
        let with_end = Committed { kept_until_ms: Some(-1), by_member: false, ..committed("ä") };
        for offset in [committed(""), committed("meta"), with_end] {
            assert_eq!(Committed::from_row(&offset.to_row()), Some(offset));
        }
        let (group, topic) = (Text::from("g"), Text::from(""));
        let key = row_key(&group, &topic, -7);
        assert_eq!(parse_row_key(&key), Some((group, topic, -7)));
    }

    #[test]
    fn the_format_of_a_row_does_not_change() {
        let key = row_key(&Text::from("g"), &Text::from("tp"), 3);
        assert_eq!(&key[..], b"\0\x01g\0\x02tp\0\0\0\x03");
        let row = committed("m").to_row();
        assert_eq!(
            &row[..],
            b"\x01\x01\0\0\0\0\0\0\0\x2a\xff\xff\xff\xff\0\0\x01\x8b\xcf\xe5\x68\0\
              \xff\xff\xff\xff\xff\xff\xff\xffm"
        );
    }

    #[test]
    fn a_row_that_is_cut_or_of_another_format_is_none() {
        let row = committed("").to_row();
        let key = row_key(&Text::from("group"), &Text::from("topic"), 1);
        for end in 0..row.len() {
            assert_eq!(Committed::from_row(&row[..end]), None);
        }
        for end in 0..key.len() {
            assert_eq!(parse_row_key(&key[..end]), None);
        }
        let mut newer = row.to_vec();
        newer[0] = 2;
        assert_eq!(Committed::from_row(&newer), None);
    }

    #[test]
    fn sums_are_zero_again_when_everything_is_removed() {
        let mut offsets = Offsets::default();
        for round in 0..3 {
            for partition in 0..10 {
                offsets.put(&Text::from("a"), partition, committed("x"));
                offsets.put(&Text::from("b"), partition, committed(&"y".repeat(round)));
            }
        }
        assert_eq!(offsets.count, 20);
        assert_eq!(offsets.remove(|it| it.metadata.is_empty()).len(), 0);
        assert_eq!(offsets.remove(|_| true).len(), 20);
        assert_eq!((offsets.count, offsets.bytes, offsets.is_empty()), (0, 0, true));
    }
}
