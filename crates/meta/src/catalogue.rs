//! All named objects, and the commands that change them.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use model::filter::Filter;
use model::record::Space;
use model::render;
use model::subject::Subject;
use protocol::{
    BindTarget, Binding, Cleanup, Compaction, Durability, HeaderMatch, HeaderMatchMode, Refusal,
    Retention, SpaceDeclaration, StreamDeclaration,
};

use crate::queue::{Queue, read_queue, write_queue};
use crate::row::{Reader, Unreadable, Writer};

/// Most partitions of one stream.
pub const PARTITIONS_MAX: u32 = 1024;
/// Most streams of one node.
pub const STREAMS_MAX: usize = 100_000;
/// Longest name of a stream: what Kafka allows.
pub const NAME_BYTES_MAX: usize = 249;

/// A durable log of partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The name.
    pub name: Bytes,
    /// Random, never used again.
    pub id: [u8; 16],
    /// What it captures; none for the default stream, which takes what is left.
    pub filters: Vec<Filter>,
    /// The log of each partition.
    pub logs: Vec<u64>,
    /// Kept by the system itself.
    pub internal: bool,
    /// What it keeps in sight.
    pub retention: Retention,
    /// When its records are acknowledged: the mode of its logs.
    pub durability: Durability,
    /// It was a view before: the log that holds what is below its first offset.
    pub promoted: Option<Promoted>,
}

impl Stream {
    /// The one subject that it captures, if it captures just one.
    pub fn single_subject(&self) -> Option<Subject> {
        match &self.filters[..] {
            [one] => one.as_literal(),
            _ => None,
        }
    }
}

/// Where the older part of a promoted stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promoted {
    /// The log.
    pub log: u64,
    /// The first offset of the stream's own log.
    pub until: u64,
}

/// One subject of a stream, read as if it were a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The name.
    pub name: Bytes,
    /// Random; goes on as the stream's when the view is promoted.
    pub id: [u8; 16],
    /// The subject.
    pub subject: Subject,
    /// The log that holds it.
    pub log: u64,
}

type BindingKey = (BindTarget, Space, Bytes);

/// A row that changed: key, and value or nothing.
pub type Change = (Bytes, Option<Bytes>);

/// All objects of one tenant.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    streams: BTreeMap<Bytes, Stream>,
    views: BTreeMap<Bytes, View>,
    by_id: BTreeMap<[u8; 16], Bytes>,
    spaces: BTreeMap<Bytes, SpaceDeclaration>,
    queues: BTreeMap<Bytes, Queue>,
    /// By target first: a queue goes with the bindings that lead to it.
    bindings: BTreeMap<BindingKey, Binding>,
    next_log: u64,
}

/// The first byte of a row's key.
mod kind {
    pub(super) const STREAM: u8 = b's';
    pub(super) const VIEW: u8 = b'v';
    pub(super) const SPACE: u8 = b'x';
    pub(super) const QUEUE: u8 = b'q';
    pub(super) const BINDING: u8 = b'b';
    pub(super) const NEXT_LOG: u8 = b'n';
}

impl Catalogue {
    /// An empty catalogue.
    pub fn new() -> Self {
        Self { next_log: 1, ..Self::default() }
    }

    /// Takes back a row that was kept.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] for a row that this version does not know.
    pub fn restore(&mut self, key: &[u8], value: Bytes) -> Result<(), Unreadable> {
        let mut row = Reader::new(value)?;
        match key.first().copied() {
            Some(kind::STREAM) => {
                let stream = read_stream(&mut row)?;
                self.by_id.insert(stream.id, stream.name.clone());
                self.streams.insert(stream.name.clone(), stream);
            }
            Some(kind::VIEW) => {
                let view = View {
                    name: row.bytes()?,
                    id: row.bytes()?[..].try_into().map_err(|_| Unreadable)?,
                    subject: Subject::from_canonical(row.bytes()?).map_err(|_| Unreadable)?,
                    log: row.number()?,
                };
                self.by_id.insert(view.id, view.name.clone());
                self.views.insert(view.name.clone(), view);
            }
            Some(kind::SPACE) => {
                let space = read_space(&mut row)?;
                self.spaces.insert(space.name.clone(), space);
            }
            Some(kind::QUEUE) => {
                let queue = read_queue(&mut row)?;
                self.queues.insert(queue.declaration.name.clone(), queue);
            }
            Some(kind::BINDING) => {
                let binding = read_binding(&mut row)?;
                self.bindings.insert(place_of(&binding), binding);
            }
            Some(kind::NEXT_LOG) => self.next_log = row.number()?,
            _ => return Err(Unreadable),
        }
        Ok(())
    }

    /// A number for a new log, never given again. The change must be kept with whatever uses it.
    pub fn take_log(&mut self) -> (u64, Change) {
        let log = self.next_log.max(1);
        self.next_log = log + 1;
        (log, (key(kind::NEXT_LOG, &[]), Some(Writer::default().number(self.next_log).finish())))
    }

    /// Streams.
    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.streams.values()
    }

    /// Streams with names behind `after`.
    pub fn streams_after(&self, after: Option<&[u8]>) -> impl Iterator<Item = &Stream> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.streams.range::<[u8], _>((from, Bound::Unbounded)).map(|(_, stream)| stream)
    }

    /// How many streams there are.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// The stream of this name.
    pub fn stream(&self, name: &[u8]) -> Option<&Stream> {
        self.streams.get(name)
    }

    /// Named views.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.views.values()
    }

    /// How many named views there are.
    pub fn view_count(&self) -> usize {
        self.views.len()
    }

    /// The view of this name.
    pub fn view(&self, name: &[u8]) -> Option<&View> {
        self.views.get(name)
    }

    /// The name of the stream or view with this id.
    pub fn name_of(&self, id: &[u8; 16]) -> Option<&Bytes> {
        self.by_id.get(id)
    }

    /// Whether a stream of this declaration could be made.
    ///
    /// # Errors
    ///
    /// The [`Refusal`].
    pub fn check_stream(&self, declaration: &StreamDeclaration) -> Result<Vec<Filter>, Refusal> {
        let name = &declaration.name;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.iter().all(|b| is_name_byte(*b))
        {
            return Err(Refusal::InvalidName);
        }
        if declaration.partitions > PARTITIONS_MAX || !declaration.retention.is_possible() {
            return Err(Refusal::InvalidNumber);
        }
        if self.streams.contains_key(name) {
            return Err(Refusal::Exists);
        }
        if self.streams.len() >= STREAMS_MAX {
            return Err(Refusal::Limit("streams"));
        }
        let filters = if declaration.filters.is_empty() {
            let subject = render::stream_name::parse(name).map_err(|_| Refusal::InvalidName)?;
            vec![Filter::literal(&subject)]
        } else {
            declaration.filters.clone()
        };
        for stream in self.streams.values() {
            if filters.iter().any(|new| stream.filters.iter().any(|old| old.overlaps(new))) {
                return Err(Refusal::Overlap(stream.name.clone()));
            }
        }
        Ok(filters)
    }

    /// Makes a stream; `logs` are its partitions' logs. A view of its name gives it its id.
    pub fn add_stream(&mut self, mut stream: Stream, changes: &mut Vec<Change>) {
        if let Some(view) = self.views.remove(&stream.name) {
            changes.push((key(kind::VIEW, &view.name), None));
            stream.id = view.id;
        }
        self.by_id.insert(stream.id, stream.name.clone());
        changes.push((key(kind::STREAM, &stream.name), Some(write_stream(&stream))));
        self.streams.insert(stream.name.clone(), stream);
    }

    /// Removes a stream or a view.
    pub fn remove_stream(&mut self, name: &[u8], changes: &mut Vec<Change>) -> Option<Stream> {
        if let Some(view) = self.views.remove(name) {
            self.by_id.remove(&view.id);
            changes.push((key(kind::VIEW, name), None));
        }
        let stream = self.streams.remove(name)?;
        self.by_id.remove(&stream.id);
        changes.push((key(kind::STREAM, name), None));
        Some(stream)
    }

    /// Makes a view.
    pub fn add_view(&mut self, view: View, changes: &mut Vec<Change>) {
        self.by_id.insert(view.id, view.name.clone());
        let row = Writer::default()
            .bytes(&view.name)
            .bytes(&view.id)
            .bytes(view.subject.as_bytes())
            .number(view.log)
            .finish();
        changes.push((key(kind::VIEW, &view.name), Some(row)));
        self.views.insert(view.name.clone(), view);
    }

    /// How many spaces there are.
    pub fn space_count(&self) -> usize {
        self.spaces.len()
    }

    /// How many bindings there are.
    pub fn binding_count(&self) -> usize {
        self.bindings.len()
    }

    /// The space of this name.
    pub fn space(&self, name: &[u8]) -> Option<&SpaceDeclaration> {
        self.spaces.get(name)
    }

    /// Makes a space; one that is not durable leaves no row.
    pub fn add_space(&mut self, space: SpaceDeclaration, changes: &mut Vec<Change>) {
        if space.durable && !space.builtin {
            changes.push((key(kind::SPACE, &space.name), Some(write_space(&space))));
        }
        self.spaces.insert(space.name.clone(), space);
    }

    /// Removes a space.
    pub fn remove_space(&mut self, name: &[u8], changes: &mut Vec<Change>) {
        if let Some(space) = self.spaces.remove(name)
            && space.durable
        {
            changes.push((key(kind::SPACE, name), None));
        }
    }

    /// Queues.
    pub fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues.values()
    }

    /// The queue of this name.
    pub fn queue(&self, name: &[u8]) -> Option<&Queue> {
        self.queues.get(name)
    }

    /// Makes a queue; one that is not durable leaves no row.
    pub fn add_queue(&mut self, queue: Queue, changes: &mut Vec<Change>) {
        if queue.declaration.durable {
            changes.push((key(kind::QUEUE, &queue.declaration.name), Some(write_queue(&queue))));
        }
        self.queues.insert(queue.declaration.name.clone(), queue);
    }

    /// Removes a queue.
    pub fn remove_queue(&mut self, name: &[u8], changes: &mut Vec<Change>) -> Option<Queue> {
        let queue = self.queues.remove(name)?;
        if queue.declaration.durable {
            changes.push((key(kind::QUEUE, name), None));
        }
        Some(queue)
    }

    /// All bindings.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.values()
    }

    /// Bindings that lead to a target.
    pub fn bindings_to(&self, target: &BindTarget) -> impl Iterator<Item = &Binding> {
        let from = (target.clone(), Space::SHARED, Bytes::new());
        self.bindings.range(from..).map(|(_, b)| b).take_while(move |b| b.target == *target)
    }

    /// Makes a binding; `false` if it was there.
    pub fn bind(&mut self, binding: Binding, changes: &mut Vec<Change>) -> bool {
        let place = place_of(&binding);
        if self.bindings.contains_key(&place) {
            return false;
        }
        if binding.durable {
            changes.push((binding_key(&binding), Some(write_binding(&binding))));
        }
        self.bindings.insert(place, binding);
        true
    }

    /// Removes bindings; those that were there.
    pub fn unbind(&mut self, gone: &[Binding], changes: &mut Vec<Change>) -> Vec<Binding> {
        let mut removed = Vec::new();
        for binding in gone {
            let Some(binding) = self.bindings.remove(&place_of(binding)) else { continue };
            if binding.durable {
                changes.push((binding_key(&binding), None));
            }
            removed.push(binding);
        }
        removed
    }
}

fn place_of(binding: &Binding) -> BindingKey {
    (binding.target.clone(), binding.source.clone(), binding.identity.clone())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn key(kind: u8, name: &[u8]) -> Bytes {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(kind);
    key.extend_from_slice(name);
    Bytes::from(key)
}

fn binding_key(binding: &Binding) -> Bytes {
    let (tag, target) = target_parts(&binding.target);
    let row = Writer::default()
        .bytes(binding.source.name().unwrap_or_default().as_bytes())
        .bytes(&[tag])
        .bytes(target)
        .bytes(&binding.identity)
        .finish();
    key(kind::BINDING, &row)
}

fn target_parts(target: &BindTarget) -> (u8, &Bytes) {
    match target {
        BindTarget::Queue(name) => (b'q', name),
        BindTarget::Space(name) => (b'x', name),
    }
}

fn write_stream(stream: &Stream) -> Bytes {
    let asynchronous = stream.durability == Durability::Async;
    let volatile = stream.durability == Durability::Memory;
    let mut row = Writer::default()
        .bytes(&stream.name)
        .bytes(&stream.id)
        .flags(&[stream.internal, true, asynchronous, volatile])
        .maybe(stream.retention.max_age_ms)
        .maybe(stream.retention.max_bytes)
        .bytes(&write_retention(&stream.retention))
        .maybe(stream.promoted.map(|p| p.log))
        .maybe(stream.promoted.map(|p| p.until))
        .number(stream.logs.len() as u64);
    for log in &stream.logs {
        row = row.number(*log);
    }
    for filter in &stream.filters {
        row = row.bytes(&filter.to_bytes());
    }
    row.finish()
}

fn read_stream(row: &mut Reader) -> Result<Stream, Unreadable> {
    let name = row.bytes()?;
    let id = row.bytes()?[..].try_into().map_err(|_| Unreadable)?;
    // A row without the second flag has no more limits than these two.
    let [internal, more, asynchronous, volatile] = row.flags()?;
    let durability = match (asynchronous, volatile) {
        (false, false) => Durability::Durable,
        (true, false) => Durability::Async,
        (false, true) => Durability::Memory,
        (true, true) => return Err(Unreadable),
    };
    let (max_age_ms, max_bytes) = (row.maybe()?, row.maybe()?);
    let rest = if more { read_retention(row.bytes()?)? } else { Retention::default() };
    let retention = Retention { max_age_ms, max_bytes, ..rest };
    let (log, until) = (row.maybe()?, row.maybe()?);
    let promoted = log.zip(until).map(|(log, until)| Promoted { log, until });
    let logs = (0..row.number()?).map(|_| row.number()).collect::<Result<_, _>>()?;
    let mut filters = Vec::new();
    while !row.is_done() {
        filters.push(Filter::from_bytes(&row.bytes()?).map_err(|_| Unreadable)?);
    }
    Ok(Stream { name, id, filters, logs, internal, retention, durability, promoted })
}

/// All of a retention but age and bytes, which stand before it.
fn write_retention(retention: &Retention) -> Bytes {
    let cleanup = match retention.cleanup {
        Cleanup::Delete => 0,
        Cleanup::Compact => 1,
        Cleanup::Both => 2,
    };
    let Compaction { delete_retention_ms, min_lag_ms, min_dirty_percent } = retention.compaction;
    Writer::default()
        .maybe(retention.max_records)
        .maybe(retention.max_per_subject.map(u64::from))
        .flags(&[retention.refuse_when_full, retention.until_consumed])
        .number(cleanup)
        .maybe(delete_retention_ms)
        .maybe(min_lag_ms)
        .maybe(min_dirty_percent.map(u64::from))
        .maybe(retention.max_message_bytes.map(u64::from))
        .maybe(retention.held_bytes)
        .maybe(retention.held_age_ms)
        .finish()
}

fn read_retention(row: Bytes) -> Result<Retention, Unreadable> {
    fn small<T: TryFrom<u64>>(number: Option<u64>) -> Result<Option<T>, Unreadable> {
        number.map(|number| T::try_from(number).map_err(|_| Unreadable)).transpose()
    }
    let row = &mut Reader::new(row)?;
    let max_records = row.maybe()?;
    let max_per_subject = small(row.maybe()?)?;
    let [refuse_when_full, until_consumed] = row.flags()?;
    let cleanup = match row.number()? {
        0 => Cleanup::Delete,
        1 => Cleanup::Compact,
        2 => Cleanup::Both,
        _ => return Err(Unreadable),
    };
    let compaction = Compaction {
        delete_retention_ms: row.maybe()?,
        min_lag_ms: row.maybe()?,
        min_dirty_percent: small(row.maybe()?)?,
    };
    Ok(Retention {
        max_records,
        max_per_subject,
        refuse_when_full,
        until_consumed,
        cleanup,
        compaction,
        max_message_bytes: small(row.maybe()?)?,
        held_bytes: row.maybe()?,
        held_age_ms: row.maybe()?,
        ..Retention::default()
    })
}

fn write_space(space: &SpaceDeclaration) -> Bytes {
    Writer::default()
        .bytes(&space.name)
        .bytes(&space.kind)
        .flags(&[space.auto_delete, space.internal])
        .bytes(&space.arguments)
        .finish()
}

fn read_space(row: &mut Reader) -> Result<SpaceDeclaration, Unreadable> {
    let (name, kind) = (row.bytes()?, row.bytes()?);
    let [auto_delete, internal] = row.flags()?;
    let arguments = row.bytes()?;
    Ok(SpaceDeclaration {
        name,
        kind,
        durable: true,
        auto_delete,
        internal,
        arguments,
        builtin: false,
    })
}

fn write_binding(binding: &Binding) -> Bytes {
    let (tag, target) = target_parts(&binding.target);
    let mut row = Writer::default()
        .bytes(binding.source.name().unwrap_or_default().as_bytes())
        .bytes(&[tag])
        .bytes(target)
        .bytes(&binding.filter.to_bytes())
        .bytes(&binding.identity);
    if let Some(headers) = &binding.headers {
        row = row.flags(&[headers.mode == HeaderMatchMode::All]);
        for (name, value) in &headers.wanted {
            row = row
                .bytes(name)
                .flags(&[value.is_some()])
                .bytes(value.as_deref().unwrap_or_default());
        }
    }
    row.finish()
}

fn read_binding(row: &mut Reader) -> Result<Binding, Unreadable> {
    let space = row.bytes()?;
    let source = match std::str::from_utf8(&space).map_err(|_| Unreadable)? {
        "" => Space::SHARED,
        name => Space::named(name),
    };
    let tag = row.bytes()?;
    let name = row.bytes()?;
    let target = match &tag[..] {
        b"q" => BindTarget::Queue(name),
        b"x" => BindTarget::Space(name),
        _ => return Err(Unreadable),
    };
    let filter = Filter::from_bytes(&row.bytes()?).map_err(|_| Unreadable)?;
    let identity = row.bytes()?;
    let mut headers = None;
    if !row.is_done() {
        let [all] = row.flags()?;
        let mode = if all { HeaderMatchMode::All } else { HeaderMatchMode::Any };
        let mut wanted = Vec::new();
        while !row.is_done() {
            let name = row.bytes()?;
            let [has_value] = row.flags()?;
            let value = row.bytes()?;
            wanted.push((name, has_value.then_some(value)));
        }
        headers = Some(HeaderMatch { mode, wanted });
    }
    Ok(Binding { source, target, filter, headers, identity, durable: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(retention: Retention) -> Stream {
        Stream {
            name: Bytes::from_static(b"s"),
            id: [7; 16],
            filters: vec![Filter::mqtt(&Bytes::from_static(b"s/#")).expect("a filter")],
            logs: vec![3, 4],
            internal: false,
            retention,
            durability: Durability::Durable,
            promoted: None,
        }
    }

    fn read(row: Bytes) -> Result<Stream, Unreadable> {
        read_stream(&mut Reader::new(row)?)
    }

    #[test]
    fn a_stream_is_read_back_with_all_that_it_keeps() {
        let retention = Retention {
            max_age_ms: Some(1),
            max_bytes: Some(2),
            max_records: Some(3),
            max_per_subject: Some(4),
            refuse_when_full: true,
            until_consumed: true,
            cleanup: Cleanup::Both,
            compaction: Compaction {
                delete_retention_ms: Some(5),
                min_lag_ms: Some(6),
                min_dirty_percent: Some(7),
            },
            max_message_bytes: Some(8),
            held_bytes: Some(9),
            held_age_ms: Some(10),
        };
        for retention in [retention, Retention::default()] {
            let mut written = stream(retention);
            for durability in [Durability::Memory, Durability::Async, Durability::Durable] {
                written.durability = durability;
                assert_eq!(read(write_stream(&written)), Ok(written.clone()));
            }
            let row = write_stream(&written);
            for length in 0..row.len() {
                // A cut row is refused, or ends at a whole filter.
                let _ = read(row.slice(..length));
            }
        }
    }

    #[test]
    fn a_row_of_before_there_were_more_limits_is_read() {
        let row = Writer::default()
            .bytes(b"s")
            .bytes(&[7; 16])
            .flags(&[false])
            .maybe(Some(1))
            .maybe(Some(2))
            .maybe(None)
            .maybe(None)
            .number(2)
            .number(3)
            .number(4)
            .bytes(&Filter::mqtt(&Bytes::from_static(b"s/#")).expect("a filter").to_bytes())
            .finish();
        let retention =
            Retention { max_age_ms: Some(1), max_bytes: Some(2), ..Retention::default() };
        assert_eq!(read(row), Ok(stream(retention)));
    }
}
