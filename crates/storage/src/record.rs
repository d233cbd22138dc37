//! A model record <-> the tail of a stored record: key, value and headers of record batch v2.
//!
//! Properties ride in headers that begin with `robust.`. They are believed only in batches that
//! were gathered here (`trusted`), never in a batch that a client built.
//!
//! ```text
//! tail = [key length: varint][key][value length: varint][value][headers: varint]
//!        ([name length: varint][name][value length: varint][value])*      -1 = null
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use model::fields::Origin;
use model::record::{
    Address, Assurance, Cause, DEATHS_MAX, Death, Header, Lifetime, Native, Properties, Record,
    Space,
};
use model::render;
use model::subject::Subject;

use crate::batch::{self, RecordView};

/// Names of the reserved headers.
mod name {
    pub(super) const PREFIX: &[u8] = b"robust.";
    pub(super) const CONTENT_TYPE: &[u8] = b"robust.content-type";
    pub(super) const REPLY_TO: &[u8] = b"robust.reply-to";
    pub(super) const REPLY_SPACE: &[u8] = b"robust.reply-space";
    pub(super) const REPLY_QUEUE: &[u8] = b"robust.reply-queue";
    pub(super) const CORRELATION: &[u8] = b"robust.correlation";
    pub(super) const EXPIRES: &[u8] = b"robust.expires-at-ms";
    pub(super) const MESSAGE_ID: &[u8] = b"robust.message-id";
    pub(super) const PRIORITY: &[u8] = b"robust.priority";
    pub(super) const TEXT: &[u8] = b"robust.text";
    pub(super) const NATIVE: &[u8] = b"robust.native";
    /// Its time in queues: when it was taken in on the engine's clock, and its own limit.
    pub(super) const LIFETIME: &[u8] = b"robust.lifetime-ms";
    /// A queue that gave it up, one header for each.
    pub(super) const DEATH: &[u8] = b"robust.death";
    /// Assurance, retain, own key, null value: what has no other place.
    pub(super) const FLAGS: &[u8] = b"robust.flags";
    /// The space, if it is not the shared one.
    pub(super) const SPACE: &[u8] = b"robust.space";
    /// The queue, if it was published to by its name.
    pub(super) const QUEUE: &[u8] = b"robust.queue";
}

const FLAG_EXACTLY_ONCE: u8 = 1;
const FLAG_RETAIN: u8 = 2;
const FLAG_OWN_KEY: u8 = 4;
const FLAG_AT_MOST_ONCE: u8 = 8;

/// The tail of a record that was published to `address`.
///
/// Without a key of its own its key is the subject in dotted form.
pub fn encode(address: &Address, record: &Record) -> Bytes {
    let dotted;
    let key = match (&record.key, address) {
        (Some(key), _) => key,
        (None, Address::Subject(_, subject)) => {
            dotted = render::dotted::to_bytes(subject);
            &dotted
        }
        (None, Address::Queue(name)) => name,
    };
    let mut count = record.headers.len();
    let mut length = 0;
    each_reserved(address, record, |name, value| {
        count += 1;
        length += bytes_length(Some(name)) + parts_length(value);
    });
    for header in &record.headers {
        length += bytes_length(Some(&header.name)) + bytes_length(header.value.as_deref());
    }
    length += bytes_length(Some(key)) + bytes_length(record.value.as_deref());
    length += batch::varint_length(signed(count));
    // Just as long as it must be, so that nothing is moved or kept beside it.
    let mut out = Vec::with_capacity(length);
    put_bytes(&mut out, Some(key));
    put_bytes(&mut out, record.value.as_deref());
    batch::put_varint(&mut out, signed(count));
    for header in &record.headers {
        put_bytes(&mut out, Some(&header.name));
        put_bytes(&mut out, header.value.as_deref());
    }
    each_reserved(address, record, |name, value| {
        put_bytes(&mut out, Some(name));
        put_parts(&mut out, value);
    });
    debug_assert_eq!(out.len(), length, "both passes see the same");
    out.into()
}

/// Calls `each` with the name and the value, in two parts, of each reserved header of a record.
fn each_reserved(address: &Address, record: &Record, mut each: impl FnMut(&[u8], [&[u8]; 2])) {
    if let Some(properties) = &record.properties {
        each_property(properties, &mut each);
    }
    match address {
        Address::Subject(space, _) => {
            if let Some(space) = space.name() {
                each(name::SPACE, [space.as_bytes(), b""]);
            }
        }
        Address::Queue(queue) => each(name::QUEUE, [queue, b""]),
    }
    let flags = match record.assurance {
        Assurance::AtMostOnce => FLAG_AT_MOST_ONCE,
        Assurance::AtLeastOnce => 0,
        Assurance::ExactlyOnce => FLAG_EXACTLY_ONCE,
    } | if record.retain { FLAG_RETAIN } else { 0 }
        | if record.key.is_some() { FLAG_OWN_KEY } else { 0 };
    if flags != 0 {
        each(name::FLAGS, [&[flags], b""]);
    }
}

/// The address and record of a stored record of `subject`.
///
/// `trusted`: the batch was gathered here, so its `robust.` headers are ours.
pub fn decode(subject: &Subject, view: &RecordView, trusted: bool) -> (Address, Record) {
    let mut record = Record {
        key: view.key.clone(),
        value: view.value.clone(),
        headers: Vec::new(),
        timestamp_ms: view.timestamp_ms,
        assurance: Assurance::AtLeastOnce,
        retain: false,
        properties: None,
    };
    if !trusted {
        record.headers = view
            .headers
            .iter()
            .map(|(name, value)| Header { name: name.clone(), value: value.clone() })
            .collect();
        for header in &record.headers {
            let Some(value) = &header.value else { continue };
            if header.name.eq_ignore_ascii_case(b"content-type") {
                record.properties.get_or_insert_default().content_type = Some(value.clone());
            } else if header.name.eq_ignore_ascii_case(b"correlation-id") {
                record.properties.get_or_insert_default().correlation = Some(value.clone());
            }
        }
        return (Address::shared(subject.clone()), record);
    }
    let mut reader = Trusted::default();
    for (name, value) in &view.headers {
        match value {
            Some(value) if name.starts_with(name::PREFIX) => reader.take(name, value),
            _ => record.headers.push(Header { name: name.clone(), value: value.clone() }),
        }
    }
    record.properties = reader.properties;
    if reader.flags & FLAG_OWN_KEY == 0 {
        record.key = None;
    }
    record.retain = reader.flags & FLAG_RETAIN != 0;
    record.assurance = if reader.flags & FLAG_EXACTLY_ONCE != 0 {
        Assurance::ExactlyOnce
    } else if reader.flags & FLAG_AT_MOST_ONCE != 0 {
        Assurance::AtMostOnce
    } else {
        Assurance::AtLeastOnce
    };
    let address = match reader.queue {
        Some(queue) => Address::Queue(queue),
        None => Address::Subject(reader.space, subject.clone()),
    };
    (address, record)
}

/// What the reserved headers of a gathered record say.
#[derive(Default)]
struct Trusted {
    properties: Option<Box<Properties>>,
    flags: u8,
    space: Space,
    queue: Option<Bytes>,
    reply_space: Space,
}

impl Trusted {
    fn take(&mut self, name: &Bytes, value: &Bytes) {
        let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
        let text = || std::str::from_utf8(value).unwrap_or_default();
        match &name[..] {
            name::FLAGS => self.flags = value.first().copied().unwrap_or_default(),
            name::SPACE => self.space = Space::named(text()),
            name::QUEUE => self.queue = Some(value.clone()),
            name::REPLY_SPACE => self.reply_space = Space::named(text()),
            name::CONTENT_TYPE => self.properties().content_type = Some(value.clone()),
            name::CORRELATION => self.properties().correlation = Some(value.clone()),
            name::MESSAGE_ID => self.properties().message_id = Some(value.clone()),
            name::EXPIRES => self.properties().expires_at_ms = number(),
            name::PRIORITY => {
                self.properties().priority = number().and_then(|n| u8::try_from(n).ok());
            }
            name::TEXT => self.properties().text = true,
            name::REPLY_QUEUE => self.properties().reply_to = Some(Address::Queue(value.clone())),
            name::REPLY_TO => {
                let space = std::mem::take(&mut self.reply_space);
                self.properties().reply_to =
                    render::dotted::parse(value).ok().map(|s| Address::Subject(space, s));
            }
            name::NATIVE => {
                let native = value.split_first().and_then(|(&origin, _)| {
                    Some(Native { protocol: Origin::from_byte(origin)?, block: value.slice(1..) })
                });
                self.properties().native = native;
            }
            name::LIFETIME => self.properties().lifetime = read_lifetime(text()),
            name::DEATH => {
                let deaths = &mut self.properties().deaths;
                if deaths.len() < DEATHS_MAX {
                    deaths.extend(death::read(value));
                }
            }
            _ => {}
        }
    }

    fn properties(&mut self) -> &mut Properties {
        self.properties.get_or_insert_with(Box::default)
    }
}

fn each_property(properties: &Properties, each: &mut impl FnMut(&[u8], [&[u8]; 2])) {
    let mut put = |name, value: Option<&[u8]>| {
        if let Some(value) = value {
            each(name, [value, b""]);
        }
    };
    put(name::CONTENT_TYPE, properties.content_type.as_deref());
    match &properties.reply_to {
        Some(Address::Subject(space, subject)) => {
            put(name::REPLY_SPACE, space.name().map(str::as_bytes));
            put(name::REPLY_TO, Some(&render::dotted::to_bytes(subject)));
        }
        Some(Address::Queue(queue)) => put(name::REPLY_QUEUE, Some(queue)),
        None => {}
    }
    put(name::CORRELATION, properties.correlation.as_deref());
    if let Some(at) = properties.expires_at_ms {
        put(name::EXPIRES, Some(at.to_string().as_bytes()));
    }
    put(name::MESSAGE_ID, properties.message_id.as_deref());
    if let Some(priority) = properties.priority {
        put(name::PRIORITY, Some(priority.to_string().as_bytes()));
    }
    put(name::TEXT, properties.text.then_some(b"1"));
    if let Some(native) = &properties.native {
        each(name::NATIVE, [&[native.protocol as u8], &native.block]);
    }
    if let Some(lifetime) = &properties.lifetime {
        each(name::LIFETIME, [write_lifetime(lifetime).as_bytes(), b""]);
    }
    for death in &properties.deaths {
        each(name::DEATH, [&death::write(death), b""]);
    }
}

/// `since`, or `since ttl`.
fn write_lifetime(lifetime: &Lifetime) -> String {
    match lifetime.ttl_ms {
        Some(ttl) => format!("{} {ttl}", lifetime.since_ms),
        None => lifetime.since_ms.to_string(),
    }
}

fn read_lifetime(text: &str) -> Option<Lifetime> {
    let (since, ttl) = match text.split_once(' ') {
        Some((since, ttl)) => (since, Some(ttl.parse().ok()?)),
        None => (text, None),
    };
    Some(Lifetime { since_ms: since.parse().ok()?, ttl_ms: ttl })
}

/// One entry of a message's history in queues.
///
/// ```text
/// [cause: u8][flags: u8][count: u64][time: i64][ttl: u64]([length: u32][bytes])*3
///     flags: 1 first, 2 has a ttl, 4 was published to a queue    numbers are LE
///     fields: the queue; space and canonical subject, or nothing and the queue published to
/// ```
mod death {
    use super::{Address, Buf, BufMut, Bytes, BytesMut, Cause, Death, Space, Subject};

    const FIRST: u8 = 1;
    const TTL: u8 = 2;
    const TO_QUEUE: u8 = 4;
    const FIXED: usize = 26;

    pub(super) fn write(death: &Death) -> Bytes {
        let (space, name, kind) = match &death.address {
            Address::Subject(space, subject) => {
                (space.name().unwrap_or_default().as_bytes(), subject.as_bytes(), 0)
            }
            Address::Queue(queue) => (&b""[..], &queue[..], TO_QUEUE),
        };
        let mut out = BytesMut::with_capacity(64 + death.queue.len() + space.len() + name.len());
        out.put_u8(death.cause as u8);
        let first = if death.first { FIRST } else { 0 };
        let ttl = if death.ttl_ms.is_some() { TTL } else { 0 };
        out.put_u8(kind | first | ttl);
        out.put_u64_le(death.count);
        out.put_i64_le(death.time_ms);
        out.put_u64_le(death.ttl_ms.unwrap_or_default());
        for field in [&death.queue[..], space, name] {
            out.put_u32_le(u32::try_from(field.len()).expect("names are bounded far below"));
            out.put_slice(field);
        }
        out.freeze()
    }

    pub(super) fn read(value: &Bytes) -> Option<Death> {
        let mut rest = value.clone();
        if rest.len() < FIXED {
            return None;
        }
        let cause = Cause::from_byte(rest.get_u8())?;
        let flags = rest.get_u8();
        let (count, time_ms, ttl) = (rest.get_u64_le(), rest.get_i64_le(), rest.get_u64_le());
        let mut field = || {
            let length = if rest.len() < 4 { return None } else { rest.get_u32_le() as usize };
            (length <= rest.len()).then(|| rest.split_to(length))
        };
        let (queue, space, name) = (field()?, field()?, field()?);
        let address = if flags & TO_QUEUE != 0 {
            Address::Queue(name)
        } else {
            let space = match std::str::from_utf8(&space).ok()? {
                "" => Space::SHARED,
                named => Space::named(named),
            };
            Address::Subject(space, Subject::from_canonical(name).ok()?)
        };
        let ttl_ms = (flags & TTL != 0).then_some(ttl);
        Some(Death { queue, cause, count, time_ms, address, ttl_ms, first: flags & FIRST != 0 })
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => batch::put_varint(out, -1),
        Some(bytes) => put_parts(out, [bytes, b""]),
    }
}

fn put_parts(out: &mut Vec<u8>, parts: [&[u8]; 2]) {
    batch::put_varint(out, signed(parts[0].len() + parts[1].len()));
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// What [`put_bytes`] appends.
fn bytes_length(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(batch::varint_length(-1), |bytes| parts_length([bytes, b""]))
}

/// What [`put_parts`] appends.
fn parts_length(parts: [&[u8]; 2]) -> usize {
    let length = parts[0].len() + parts[1].len();
    batch::varint_length(signed(length)) + length
}

fn signed(length: usize) -> i32 {
    i32::try_from(length).expect("a message is bounded far below 2 GiB")
}
