//! What is advertised: every API of the codec, in exactly the ranges that are answered.
//!
//! Narrower ranges than Kafka's own break clients (librdkafka switches features by the presence of
//! old versions), wider ones hang them. Produce 0 to 2 are refused in their own form: a client
//! must see them, and none that is alive sends them.

use kafka_codec::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use kafka_codec::{ApiKey, ErrorCode};

/// Each advertised API with its first and last version.
pub fn advertised() -> impl Iterator<Item = (ApiKey, i16, i16)> {
    ApiKey::ALL.iter().map(|api| {
        let (first, last) = api.versions();
        (*api, first, last)
    })
}

/// The answer to a request of any known version. Features are none: transactions are not spoken.
pub(crate) fn answer() -> ApiVersionsResponse {
    ApiVersionsResponse { api_keys: advertised().map(entry).collect(), ..Default::default() }
}

/// The answer, in version 0, to a version of ApiVersions that is not known (KIP-511): the client
/// asks again in a version of the range.
pub(crate) fn unsupported() -> ApiVersionsResponse {
    let (first, last) = ApiKey::ApiVersions.versions();
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.into(),
        api_keys: vec![entry((ApiKey::ApiVersions, first, last))],
        ..Default::default()
    }
}

fn entry((api, first, last): (ApiKey, i16, i16)) -> ApiVersion {
    ApiVersion { api_key: api.number(), min_version: first, max_version: last }
}
