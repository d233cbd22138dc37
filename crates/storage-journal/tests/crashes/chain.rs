//! The segments as they stand on the simulated disk, read without the engine's help.

use std::ops::Range;

use bytes::Bytes;
use storage_journal::group::{self, GroupHeader};
use storage_journal::manifest::{self, Content};
use storage_journal::random::Random;
use storage_journal::segment::{FIRST_GROUP, SegmentHeader};
use storage_journal::sim::SimFs;
use storage_journal::vfs::Vfs;

/// One valid group.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The file.
    pub(crate) name: String,
    /// Its bytes in the file, with the padding.
    pub(crate) range: Range<usize>,
    /// What its header says.
    pub(crate) header: GroupHeader,
}

/// The groups that exist, in order, up to the first that is not valid.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    /// The groups.
    pub(crate) groups: Vec<Place>,
    /// The highest group that is proven to be durable.
    pub(crate) durable_lsn: u64,
    /// Engine clock of the last group or header.
    pub(crate) clock_ms: i64,
    /// The header of the newest segment.
    pub(crate) newest: Option<SegmentHeader>,
    /// What the manifest says.
    pub(crate) rested: Option<Content>,
}

impl Chain {
    /// Reads the chain that ends in the newest segment.
    pub(crate) fn read(sim: &SimFs) -> Self {
        let names = sim.list("").expect("the process lives");
        let mut segments: Vec<_> = names
            .into_iter()
            .filter(|name| name.ends_with(".seg"))
            .filter_map(|name| {
                let bytes = Bytes::from(sim.contents(&name)?);
                let header = SegmentHeader::decode(&bytes).ok()?;
                Some((name, header, bytes))
            })
            .collect();
        segments.sort_by_key(|(_, header, _)| header.sequence);
        let mut chain = Self { newest: segments.last().map(|one| one.1), ..Self::default() };
        chain.rested = manifest::read(sim).ok().flatten();
        let rested = chain.rested.as_ref().map_or(0, |content| content.wal_oldest);
        let oldest = chain.newest.map_or(0, |header| header.oldest).max(rested);
        segments.retain(|(_, header, _)| header.sequence >= oldest);
        let ends: Vec<_> = segments.iter().skip(1).map(|one| one.1.previous_end).collect();
        for (index, (name, header, bytes)) in segments.iter().enumerate() {
            chain.durable_lsn = chain.durable_lsn.max(header.durable_lsn);
            chain.clock_ms = chain.clock_ms.max(header.clock_ms);
            let end = ends.get(index).map_or(bytes.len(), |end| bytes.len().min(*end as usize));
            chain.walk(name, header, bytes, end);
        }
        chain
    }

    fn walk(&mut self, name: &str, segment: &SegmentHeader, bytes: &Bytes, end: usize) {
        let mut at = FIRST_GROUP as usize;
        let mut lsn = segment.first_lsn;
        while at < end {
            let group = bytes.slice(at..);
            let header = GroupHeader::decode(&group, &segment.uuid);
            let Some(header) = header.filter(|header| header.lsn == lsn) else { break };
            if group::decode_frames(&group, &header, &segment.uuid).is_err() {
                break;
            }
            let next = at + header.padded() as usize;
            self.durable_lsn = self.durable_lsn.max(header.durable_lsn);
            self.clock_ms = self.clock_ms.max(header.clock_ms);
            self.groups.push(Place { name: name.to_owned(), range: at..next, header });
            (at, lsn) = (next, lsn + 1);
        }
        // Behind a group that is not valid others may still tell what was durable.
        for at in (at.next_multiple_of(4096)..end).step_by(4096) {
            let header = GroupHeader::decode(&bytes.slice(at..), &segment.uuid);
            let durable = header.map_or(0, |header| header.durable_lsn);
            self.durable_lsn = self.durable_lsn.max(durable);
        }
    }

    /// The groups that are proven: no bit of them may be wrong.
    pub(crate) fn proven(&self) -> impl Iterator<Item = &Place> {
        self.groups.iter().filter(|group| group.header.lsn <= self.durable_lsn)
    }

    /// A byte of a proven group, with its file.
    pub(crate) fn pick_proven(&self, random: &mut Random) -> Option<(String, usize)> {
        let proven: Vec<_> = self.proven().collect();
        let group = proven.get(random.below(proven.len() as u64) as usize)?;
        // The frames are a small part of the group, and the padding must be right as well.
        let length = if random.chance(80) { group.header.length } else { group.range.len() };
        let byte = group.range.start + random.below(length as u64) as usize;
        Some((group.name.clone(), byte))
    }
}
