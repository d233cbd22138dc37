//! What every message can do, and whole response frames.

use bytes::{BufMut, Bytes, BytesMut};

use crate::frame::PREFIX_BYTES;
use crate::messages::{AnyResponse, ApiKey};
use crate::response_header_is_flexible;
use crate::wire::{DecodeError, Field, Limits, Reader, Writer};

/// The body of a request or response.
pub trait Message: Field + Default {
    /// The API that it belongs to.
    const KEY: ApiKey;
    /// Whether the broker sends it.
    const IS_RESPONSE: bool;

    /// Reads a body. Bytes after its end are left alone, as Kafka does.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no such body, or the version is not spoken.
    fn decode(body: Bytes, version: i16, limits: &Limits) -> Result<Self, DecodeError> {
        if !Self::KEY.speaks(version) {
            return Err(DecodeError::UnsupportedVersion { key: Self::KEY.number(), version });
        }
        Self::read(&mut Reader::new(body, version, Self::KEY.is_flexible(version), limits))
    }

    /// Writes the body. What the version cannot hold is left out; null becomes empty where the
    /// version has no null.
    fn encode(&self, version: i16) -> Bytes {
        let mut writer = Writer::new(version, Self::KEY.is_flexible(version));
        self.write(&mut writer);
        writer.into_bytes()
    }
}

/// A message that asks for another.
pub trait Request: Message {
    /// What answers it.
    type Response: Message;
}

/// A whole response, from the length prefix to the end, as chunks for the socket.
pub fn response_frame(correlation_id: i32, version: i16, response: &AnyResponse) -> Vec<Bytes> {
    let api = response.key();
    let mut writer = Writer::new(version, response_header_is_flexible(api, version));
    writer.put(&correlation_id);
    writer.put_no_tagged();
    writer.set_flexible(api.is_flexible(version));
    response.write(&mut writer);
    prefixed(writer)
}

/// A whole response around a body that is encoded already.
pub fn response_frame_of(
    correlation_id: i32,
    api: ApiKey,
    version: i16,
    body: Bytes,
) -> Vec<Bytes> {
    let mut writer = Writer::new(version, response_header_is_flexible(api, version));
    writer.put(&correlation_id);
    writer.put_no_tagged();
    writer.put_bytes(body);
    prefixed(writer)
}

fn prefixed(writer: Writer) -> Vec<Bytes> {
    let length = i32::try_from(writer.len()).unwrap_or(i32::MAX);
    let mut chunks = writer.into_chunks();
    let Some(first) = chunks.first_mut() else { return chunks };
    let mut head = BytesMut::with_capacity(PREFIX_BYTES + first.len());
    head.put_i32(length);
    head.put_slice(first);
    *first = head.freeze();
    chunks
}
