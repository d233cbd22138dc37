//! Messages that live longer than the read buffer they came in.

use std::sync::Arc;

use bytes::Bytes;
use model::record::{Address, Properties, Record};
use model::subject::Subject;
use protocol::Message;
use storage::StoredBatch;
use storage::batch;

/// A copy of a message that holds no part of a read buffer.
pub(crate) fn detached(message: &Message) -> Arc<Message> {
    let (address, record) = (message.address.clone(), message.record.clone());
    let mut copy = Message::new(address, record, message.publisher);
    copy.reply_alias.clone_from(&message.reply_alias);
    detach(&mut copy);
    Arc::new(copy)
}

/// The message holds no part of a read buffer any more.
pub(crate) fn detach(message: &mut Message) {
    detach_address(&mut message.address);
    detach_record(&mut message.record);
}

fn detach_bytes(bytes: &mut Bytes) {
    *bytes = Bytes::copy_from_slice(bytes);
}

/// The record whose stored form stands alone, as in a row of a table.
pub(crate) fn record_of(subject: &Subject, timestamp_ms: i64, tail: &Bytes) -> Option<Record> {
    let batch = batch::build([(0, timestamp_ms, tail)], true);
    let view = batch::records(&batch).ok()?.into_iter().next()?;
    Some(storage::record::decode(subject, &view, true).1)
}

pub(crate) fn detached_address(address: &Address) -> Address {
    let mut copy = address.clone();
    detach_address(&mut copy);
    copy
}

fn detach_address(address: &mut Address) {
    match address {
        Address::Subject(_, subject) => *subject = subject.detached(),
        Address::Queue(name) => detach_bytes(name),
    }
}

fn detach_record(record: &mut Record) {
    record.key.iter_mut().chain(&mut record.value).for_each(detach_bytes);
    for header in &mut record.headers {
        detach_bytes(&mut header.name);
        header.value.iter_mut().for_each(detach_bytes);
    }
    let Some(properties) = &mut record.properties else { return };
    let Properties { content_type, reply_to, correlation, message_id, native, deaths, .. } =
        &mut **properties;
    [content_type, correlation, message_id].into_iter().flatten().for_each(detach_bytes);
    reply_to.iter_mut().for_each(detach_address);
    native.iter_mut().for_each(|native| detach_bytes(&mut native.block));
    for death in deaths {
        detach_bytes(&mut death.queue);
        detach_address(&mut death.address);
    }
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
