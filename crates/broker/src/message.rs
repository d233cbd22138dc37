//! Messages that live longer than the read buffer they came in.

use std::sync::Arc;

use bytes::Bytes;
use model::record::{Address, Death, Header, Native, Properties, Record};
use model::subject::Subject;
use protocol::Message;
use storage::StoredBatch;
use storage::batch;

/// A copy of a message that holds no part of a read buffer.
pub(crate) fn detached(message: &Message) -> Arc<Message> {
    let copy = Message::new(
        detached_address(&message.address),
        detached_record(&message.record),
        message.publisher,
    );
    if let Some(alias) = message.reply_alias.get() {
        copy.reply_alias.get_or_init(|| alias.clone());
    }
    Arc::new(copy)
}

fn copied(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The record whose stored form stands alone, as in a row of a table.
pub(crate) fn record_of(subject: &Subject, timestamp_ms: i64, tail: &Bytes) -> Option<Record> {
    let batch = batch::build([(0, timestamp_ms, tail)], true);
    let view = batch::records(&batch).ok()?.into_iter().next()?;
    Some(storage::record::decode(subject, &view, true).1)
}

pub(crate) fn detached_address(address: &Address) -> Address {
    match address {
        Address::Subject(space, subject) => Address::Subject(space.clone(), subject.detached()),
        Address::Queue(name) => Address::Queue(copied(name)),
    }
}

fn detached_record(record: &Record) -> Record {
    Record {
        key: record.key.as_ref().map(copied),
        value: record.value.as_ref().map(copied),
        headers: record
            .headers
            .iter()
            .map(|h| Header { name: copied(&h.name), value: h.value.as_ref().map(copied) })
            .collect(),
        properties: record.properties.as_ref().map(|p| {
            Box::new(Properties {
                content_type: p.content_type.as_ref().map(copied),
                reply_to: p.reply_to.as_ref().map(detached_address),
                correlation: p.correlation.as_ref().map(copied),
                message_id: p.message_id.as_ref().map(copied),
                native: p
                    .native
                    .as_ref()
                    .map(|n| Native { protocol: n.protocol, block: copied(&n.block) }),
                deaths: p.deaths.iter().map(detached_death).collect(),
                ..**p
            })
        }),
        ..*record
    }
}

fn detached_death(death: &Death) -> Death {
    Death { queue: copied(&death.queue), address: detached_address(&death.address), ..*death }
}

/// The messages of a stored batch with offsets from `from` on; a batch that cannot be read gives
/// none.
pub(crate) fn of_batch(stored: &StoredBatch, from: u64) -> Vec<(u64, Arc<Message>)> {
    let trusted = batch::is_gathered(&stored.bytes);
    let Ok(records) = batch::records(&stored.bytes) else { return Vec::new() };
    records
        .iter()
        .enumerate()
        .filter(|(_, view)| view.offset >= from)
        .filter_map(|(index, view)| {
            let subject = stored.subjects.of(index)?;
            let (address, record) = storage::record::decode(subject, view, trusted);
            Some((view.offset, Arc::new(Message::new(address, record, None))))
        })
        .collect()
}
