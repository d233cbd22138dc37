//! Operations to bytes, written straight into the output buffer.
//!
//! [`message`] is the hottest path of a server: one reservation, no formatting machinery. The
//! callers vouch for what they pass: a subject, sid, reply or queue holds neither blanks nor line
//! ends, which everything that a decoder or [`crate::subject`] let through satisfies.

use bytes::{BufMut, BytesMut};

use crate::handshake::{Connect, Info};

/// Longest decimal rendering of a `u64`.
const DIGITS_MAX: usize = 20;

/// Writes `INFO {json} \r\n`, with the blank that nats-server puts before the line end.
pub fn info(out: &mut BytesMut, info: &Info) {
    json_line(out, b"INFO ", &info.to_json(), b" \r\n");
}

/// Writes `CONNECT {json}\r\n`.
pub fn connect(out: &mut BytesMut, connect: &Connect) {
    json_line(out, b"CONNECT ", &connect.to_json(), b"\r\n");
}

/// Writes a MSG, or an HMSG if there is a header block.
///
/// `headers` is the whole block with its blank line, or empty for MSG.
pub fn message(
    out: &mut BytesMut,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    headers: &[u8],
    payload: &[u8],
) {
    let body = headers.len() + payload.len();
    reserve_head(out, subject, sid, reply, body + 2);
    let write_reply = |out: &mut BytesMut| {
        if let Some(reply) = reply {
            out.put_slice(reply);
            out.put_u8(b' ');
        }
    };
    let write_subject = |out: &mut BytesMut| out.put_slice(subject);
    message_head(out, write_subject, sid, write_reply, headers.len(), body);
    out.put_slice(headers);
    out.put_slice(payload);
    out.put_slice(b"\r\n");
}

/// Writes only the control line of a MSG or HMSG; `headers` and `body` say what must follow, with
/// a CRLF behind it.
///
/// Subject and reply are written by functions, so that a server renders them straight into the
/// buffer: `subject` appends the subject, `reply` appends the reply and one blank, or nothing.
pub fn message_head(
    out: &mut BytesMut,
    subject: impl FnOnce(&mut BytesMut),
    sid: &[u8],
    reply: impl FnOnce(&mut BytesMut),
    headers: usize,
    body: usize,
) {
    out.extend_from_slice(if headers == 0 { b"MSG " } else { b"HMSG " });
    subject(out);
    out.reserve(sid.len() + 2 * DIGITS_MAX + 8);
    out.put_u8(b' ');
    out.put_slice(sid);
    out.put_u8(b' ');
    reply(out);
    put_sizes(out, headers, body);
}

/// Writes a PUB, or an HPUB if there is a header block, which includes its blank line.
pub fn publish(
    out: &mut BytesMut,
    subject: &[u8],
    reply: Option<&[u8]>,
    headers: &[u8],
    payload: &[u8],
) {
    let body = headers.len() + payload.len();
    reserve_head(out, subject, &[], reply, body + 2);
    out.put_slice(if headers.is_empty() { b"PUB " } else { b"HPUB " });
    out.put_slice(subject);
    out.put_u8(b' ');
    if let Some(reply) = reply {
        out.put_slice(reply);
        out.put_u8(b' ');
    }
    put_sizes(out, headers.len(), body);
    out.put_slice(headers);
    out.put_slice(payload);
    out.put_slice(b"\r\n");
}

/// Writes `SUB subject [queue] sid`.
pub fn subscribe(out: &mut BytesMut, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
    out.reserve(subject.len() + queue.map_or(0, <[u8]>::len) + sid.len() + 8);
    out.put_slice(b"SUB ");
    out.put_slice(subject);
    out.put_u8(b' ');
    if let Some(queue) = queue {
        out.put_slice(queue);
        out.put_u8(b' ');
    }
    out.put_slice(sid);
    out.put_slice(b"\r\n");
}

/// Writes `UNSUB sid [max]`.
pub fn unsubscribe(out: &mut BytesMut, sid: &[u8], max: Option<u64>) {
    out.reserve(sid.len() + DIGITS_MAX + 9);
    out.put_slice(b"UNSUB ");
    out.put_slice(sid);
    if let Some(max) = max {
        out.put_u8(b' ');
        put_number(out, max);
    }
    out.put_slice(b"\r\n");
}

/// Writes `PING`.
pub fn ping(out: &mut BytesMut) {
    out.extend_from_slice(b"PING\r\n");
}

/// Writes `PONG`.
pub fn pong(out: &mut BytesMut) {
    out.extend_from_slice(b"PONG\r\n");
}

/// Writes `+OK`.
pub fn ok(out: &mut BytesMut) {
    out.extend_from_slice(b"+OK\r\n");
}

/// Writes `-ERR 'text'`; bytes that would end the line are left out.
pub fn err(out: &mut BytesMut, text: &str) {
    out.reserve(text.len() + 9);
    out.put_slice(b"-ERR '");
    for byte in text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')) {
        out.put_u8(byte);
    }
    out.put_slice(b"'\r\n");
}

/// Bytes that [`message`] will write, so that a caller can bound its buffers.
#[must_use]
pub fn message_len_max(subject: &[u8], sid: &[u8], reply: Option<&[u8]>, body: usize) -> usize {
    5 + subject.len() + sid.len() + reply.map_or(0, <[u8]>::len) + 2 * DIGITS_MAX + 8 + body
}

fn json_line(out: &mut BytesMut, verb: &[u8], json: &[u8], end: &[u8]) {
    out.reserve(verb.len() + json.len() + end.len());
    out.put_slice(verb);
    out.put_slice(json);
    out.put_slice(end);
}

fn reserve_head(out: &mut BytesMut, subject: &[u8], sid: &[u8], reply: Option<&[u8]>, body: usize) {
    out.reserve(message_len_max(subject, sid, reply, body));
}

fn put_sizes(out: &mut BytesMut, headers: usize, body: usize) {
    out.reserve(2 * DIGITS_MAX + 3);
    if headers != 0 {
        put_number(out, headers as u64);
        out.put_u8(b' ');
    }
    put_number(out, body as u64);
    out.put_slice(b"\r\n");
}

/// Writes a number in decimal.
fn put_number(out: &mut BytesMut, mut value: u64) {
    let mut digits = [b'0'; DIGITS_MAX];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(value % 10).unwrap_or(0);
        used += 1;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.put_slice(digits.get(DIGITS_MAX - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::{BytesMut, put_number};

    #[test]
    fn numbers_are_written_as_display_writes_them() {
        for value in [0, 1, 9, 10, 99, 100, 12_345, 1_048_576, u64::MAX] {
            let mut out = BytesMut::new();
            put_number(&mut out, value);
            assert_eq!(&out[..], value.to_string().as_bytes());
        }
    }
}
