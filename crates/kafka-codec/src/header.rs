//! Request and response headers.
//!
//! ```text
//! request  v1 [key: i16][version: i16][correlation: i32][client id: nullable string]
//! request  v2 as v1, then tagged fields; the client id keeps its plain form
//! response v0 [correlation: i32]
//! response v1 [correlation: i32][tagged fields]
//! ```
//!
//! Which one belongs to a message follows from its API and version: v2 and v1 with flexible
//! versions. ApiVersions is the exception: its response header stays v0, because the client does
//! not know yet what the broker speaks (KIP-511).

use bytes::Bytes;

use crate::messages::ApiKey;
use crate::wire::{DecodeError, Limits, Reader, Text, Writer};

/// What stands before a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API, known here or not.
    pub key: i16,
    /// The version of the API.
    pub version: i16,
    /// Comes back in the response header.
    pub correlation_id: i32,
    /// What the client calls itself; null and empty both occur.
    pub client_id: Option<Text>,
}

/// A request cut at the end of its header.
#[derive(Debug)]
pub struct Split {
    /// The header.
    pub header: RequestHeader,
    /// The API and the bytes of the body; none if the API or the version is not spoken, as then
    /// nobody knows where the body begins.
    pub body: Option<(ApiKey, Bytes)>,
}

impl RequestHeader {
    /// Cuts a frame into header and body.
    ///
    /// # Errors
    /// [`DecodeError`] when not even the fixed part is there, or the header of a known API and
    /// version is damaged.
    pub fn split(frame: Bytes) -> Result<Split, DecodeError> {
        // The header's own strings are bounded by the frame, and it holds no arrays.
        let mut reader = Reader::new(frame, 0, false, &Limits::default());
        let (key, version, correlation_id) = (reader.read()?, reader.read()?, reader.read()?);
        let spoken = ApiKey::from_number(key).filter(|api| api.speaks(version));
        let Some(api) = spoken else {
            let header = Self { key, version, correlation_id, client_id: None };
            return Ok(Split { header, body: None });
        };
        let client_id = reader.read_nullable::<Text>()?;
        let mut rest =
            Reader::new(reader.into_rest(), version, api.is_flexible(version), &Limits::default());
        rest.skip_tagged()?;
        let header = Self { key, version, correlation_id, client_id };
        Ok(Split { header, body: Some((api, rest.into_rest())) })
    }

    /// Writes the header for a request of `api`, whose encoding `writer` then has for the body.
    pub fn write(&self, api: ApiKey, writer: &mut Writer) {
        writer.set_flexible(false);
        writer.put(&self.key);
        writer.put(&self.version);
        writer.put(&self.correlation_id);
        writer.put_nullable(self.client_id.as_ref());
        writer.set_flexible(api.is_flexible(self.version));
        writer.put_no_tagged();
    }
}

/// Whether the response header has tagged fields.
pub fn response_header_is_flexible(api: ApiKey, version: i16) -> bool {
    api != ApiKey::ApiVersions && api.is_flexible(version)
}

impl ApiKey {
    /// Whether the version is understood.
    pub fn speaks(self, version: i16) -> bool {
        let (first, last) = self.versions();
        (first..=last).contains(&version)
    }

    /// Whether the version has compact lengths and tagged fields.
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.first_flexible()
    }

    /// The number on the wire.
    pub const fn number(self) -> i16 {
        self as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(api: ApiKey, version: i16, client_id: Option<&str>) -> Bytes {
        let mut writer = Writer::new(version, false);
        let header = RequestHeader {
            key: api.number(),
            version,
            correlation_id: 7,
            client_id: client_id.map(Text::from),
        };
        header.write(api, &mut writer);
        writer.put_slice(b"body");
        writer.into_bytes()
    }

    #[test]
    fn the_client_id_may_be_null_or_empty_in_both_headers() {
        for version in [8, 9] {
            for client_id in [None, Some(""), Some("kcat")] {
                let split = RequestHeader::split(frame(ApiKey::Produce, version, client_id));
                let split = split.unwrap();
                assert_eq!(split.header.client_id.as_deref(), client_id);
                let (api, body) = split.body.unwrap();
                assert_eq!((api, &body[..]), (ApiKey::Produce, &b"body"[..]));
            }
        }
    }

    #[test]
    fn tagged_fields_of_a_header_are_skipped() {
        let bytes = b"\0\0\0\x09\0\0\0\x07\xff\xff\x01\x05\x02zzbody";
        let split = RequestHeader::split(Bytes::from_static(bytes)).unwrap();
        assert_eq!(&split.body.unwrap().1[..], b"body");
    }

    #[test]
    fn an_unknown_api_or_version_still_has_its_correlation_id() {
        let unknown = RequestHeader::split(Bytes::from_static(b"\x03\xe7\0\0\0\0\0\x05")).unwrap();
        assert_eq!(unknown.header.correlation_id, 5);
        assert!(unknown.body.is_none());
        let newer = RequestHeader::split(Bytes::from_static(b"\0\x12\0\x63\0\0\0\x06")).unwrap();
        assert_eq!((newer.header.key, newer.header.version), (18, 99));
        assert!(newer.body.is_none());
    }

    #[test]
    fn the_response_header_of_api_versions_is_never_flexible() {
        assert!(!response_header_is_flexible(ApiKey::ApiVersions, 4));
        assert!(response_header_is_flexible(ApiKey::Metadata, 9));
        assert!(!response_header_is_flexible(ApiKey::Metadata, 8));
    }
}
