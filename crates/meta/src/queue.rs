//! Rows of queues: a declaration with its options, and the log of references.
//!
//! A row without options is of an earlier version: it has none.

use bytes::Bytes;
use model::record::{Address, Space};
use model::subject::Subject;
use protocol::{DeadLetter, Overflow, QueueDeclaration, QueueOptions};

use crate::row::{Reader, Unreadable, Writer};

/// A queue and its log of references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// As declared.
    pub declaration: QueueDeclaration,
    /// Its log.
    pub log: u64,
}

/// Where dead letters go, as a field.
mod destination {
    pub(super) const NOWHERE: &[u8] = b"";
    pub(super) const SUBJECT: &[u8] = b"s";
    pub(super) const QUEUE: &[u8] = b"q";
    pub(super) const WITHIN: &[u8] = b"w";
    pub(super) const BY_NAME: &[u8] = b"n";
}

pub(crate) fn write_queue(queue: &Queue) -> Bytes {
    let d = &queue.declaration;
    let row = Writer::default()
        .bytes(&d.name)
        .flags(&[d.auto_delete])
        .bytes(&d.arguments)
        .number(queue.log);
    match &d.options {
        Some(options) => write_options(row, options).finish(),
        None => row.finish(),
    }
}

pub(crate) fn read_queue(row: &mut Reader) -> Result<Queue, Unreadable> {
    let name = row.bytes()?;
    let [auto_delete] = row.flags()?;
    let arguments = row.bytes()?;
    let log = row.number()?;
    let options = if row.is_done() { None } else { Some(Box::new(read_options(row)?)) };
    let declaration =
        QueueDeclaration { name, durable: true, exclusive: false, auto_delete, arguments, options };
    Ok(Queue { declaration, log })
}

fn write_options(row: Writer, options: &QueueOptions) -> Writer {
    let overflow = match options.overflow {
        Overflow::DropHead => 0,
        Overflow::Refuse => 1,
        Overflow::RefuseAndGiveUp => 2,
    };
    let row = row
        .maybe(options.message_ttl_ms)
        .maybe(options.unused_ms)
        .maybe(options.max_messages)
        .maybe(options.max_bytes)
        .maybe(options.max_priority.map(u64::from))
        .maybe(options.delivery_limit.map(u64::from))
        .number(overflow)
        .flags(&[options.single_active, options.no_pull, options.tells_deliveries]);
    write_destination(row, options.dead_letter.as_ref())
}

/// Appends where dead letters go, one to three fields.
#[must_use]
pub fn write_destination(row: Writer, to: Option<&DeadLetter>) -> Writer {
    let name = |space: &Space| Bytes::copy_from_slice(space.name().unwrap_or_default().as_bytes());
    match to {
        None => row.bytes(destination::NOWHERE),
        Some(DeadLetter::To(Address::Subject(space, subject))) => {
            row.bytes(destination::SUBJECT).bytes(&name(space)).bytes(subject.as_bytes())
        }
        Some(DeadLetter::To(Address::Queue(queue))) => row.bytes(destination::QUEUE).bytes(queue),
        Some(DeadLetter::Within { space, private }) => {
            row.bytes(destination::WITHIN).bytes(&name(space)).bytes(&name(private))
        }
        Some(DeadLetter::ByName) => row.bytes(destination::BY_NAME),
    }
}

fn read_options(row: &mut Reader) -> Result<QueueOptions, Unreadable> {
    let (message_ttl_ms, unused_ms) = (row.maybe()?, row.maybe()?);
    let (max_messages, max_bytes) = (row.maybe()?, row.maybe()?);
    let max_priority = row.maybe()?.map(u8::try_from).transpose().map_err(|_| Unreadable)?;
    let delivery_limit = row.maybe()?.map(u32::try_from).transpose().map_err(|_| Unreadable)?;
    let overflow = match row.number()? {
        0 => Overflow::DropHead,
        1 => Overflow::Refuse,
        2 => Overflow::RefuseAndGiveUp,
        _ => return Err(Unreadable),
    };
    let [single_active, no_pull, tells_deliveries] = row.flags()?;
    let dead_letter = read_destination(row)?;
    Ok(QueueOptions {
        message_ttl_ms,
        unused_ms,
        dead_letter,
        max_messages,
        max_bytes,
        overflow,
        max_priority,
        single_active,
        no_pull,
        delivery_limit,
        tells_deliveries,
    })
}

/// The next fields, as [`write_destination`] wrote them.
///
/// # Errors
///
/// [`Unreadable`].
pub fn read_destination(row: &mut Reader) -> Result<Option<DeadLetter>, Unreadable> {
    Ok(match &row.bytes()?[..] {
        destination::NOWHERE => None,
        destination::SUBJECT => {
            let space = read_space(row)?;
            let subject = Subject::from_canonical(row.bytes()?).map_err(|_| Unreadable)?;
            Some(DeadLetter::To(Address::Subject(space, subject)))
        }
        destination::QUEUE => Some(DeadLetter::To(Address::Queue(row.bytes()?))),
        destination::WITHIN => {
            Some(DeadLetter::Within { space: read_space(row)?, private: read_space(row)? })
        }
        destination::BY_NAME => Some(DeadLetter::ByName),
        _ => return Err(Unreadable),
    })
}

fn read_space(row: &mut Reader) -> Result<Space, Unreadable> {
    Ok(match std::str::from_utf8(&row.bytes()?).map_err(|_| Unreadable)? {
        "" => Space::SHARED,
        name => Space::named(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(queue: &Queue) -> Queue {
        read_queue(&mut Reader::new(write_queue(queue)).expect("same version")).expect("readable")
    }

    #[test]
    fn a_queue_is_read_back_with_its_options() {
        let subject = Subject::from_tokens(["dead", "letters"]).expect("a subject");
        let named = Space::named("exchange/dead");
        let destinations = [
            None,
            Some(DeadLetter::To(Address::Subject(named.clone(), subject))),
            Some(DeadLetter::To(Address::Queue(Bytes::from("graves")))),
            Some(DeadLetter::Within { space: Space::SHARED, private: named }),
            Some(DeadLetter::ByName),
        ];
        for dead_letter in destinations {
            let options = QueueOptions {
                message_ttl_ms: Some(0),
                unused_ms: Some(60_000),
                dead_letter,
                max_messages: Some(5),
                max_bytes: None,
                overflow: Overflow::RefuseAndGiveUp,
                max_priority: Some(255),
                single_active: true,
                no_pull: false,
                delivery_limit: Some(20),
                tells_deliveries: true,
            };
            let declaration = QueueDeclaration {
                name: Bytes::from("q"),
                durable: true,
                exclusive: false,
                auto_delete: true,
                arguments: Bytes::from("opaque"),
                options: Some(Box::new(options)),
            };
            let queue = Queue { declaration, log: 7 };
            assert_eq!(back(&queue), queue);
        }
    }

    #[test]
    fn a_row_without_options_is_a_queue_without_options() {
        let row = Writer::default().bytes(b"q").flags(&[false]).bytes(b"").number(3).finish();
        let queue = read_queue(&mut Reader::new(row).expect("same version")).expect("readable");
        assert_eq!(queue.declaration.options(), &QueueOptions::default());
        assert_eq!(queue.log, 3);
    }

    #[test]
    fn a_row_that_ends_within_its_options_is_unreadable() {
        let row = Writer::default().bytes(b"q").flags(&[false]).bytes(b"").number(3).maybe(None);
        assert_eq!(read_queue(&mut Reader::new(row.finish()).expect("version")), Err(Unreadable));
    }
}
