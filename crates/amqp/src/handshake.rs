//! From connection.start to connection.open: who speaks, and within which limits.

use std::time::Duration;

use amqp_codec::{
    LongStr, ReplyCode, ShortStr, Table, TableRef, TableWriter, Value, connection, send,
};
use bytes::Bytes;
use protocol::{Close, Credentials, Peer};

use crate::failure::{Failure, VHOST};
use crate::login::{self, LoginFault};
use crate::session::End;

/// What the server can do, and does. `connection.blocked` joins them once the engine tells of pressure
/// before it refuses.
const CAPABILITIES: &[&str] = &[
    "authentication_failure_close",
    "basic.nack",
    "consumer_cancel_notify",
    "consumer_priorities",
    "direct_reply_to",
    "exchange_exchange_bindings",
    "per_consumer_qos",
    "publisher_confirms",
];

/// What the client said about itself.
#[derive(Debug)]
pub(crate) struct Client {
    /// The name that it logged in with.
    pub(crate) user: Vec<u8>,
    /// It wants to be told when it is not let in.
    told: bool,
    mechanism: String,
    /// It wants to be told when a consumer ends.
    pub(crate) cancel_notify: bool,
    /// It wants to be told when publishing is held up.
    pub(crate) blocked: bool,
}

/// The limits that hold for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuned {
    pub(crate) channel_max: u16,
    pub(crate) frame_max: u32,
    /// Seconds, 0 = none.
    pub(crate) heartbeat: u16,
}

impl Default for Tuned {
    /// What the server proposes.
    fn default() -> Self {
        Self { channel_max: 2047, frame_max: 131_072, heartbeat: 60 }
    }
}

impl Tuned {
    /// The heartbeat interval.
    pub(crate) fn interval(&self) -> Option<Duration> {
        (self.heartbeat > 0).then(|| Duration::from_secs(self.heartbeat.into()))
    }
}

/// The first method.
pub(crate) fn start(peer: &Peer) -> connection::Start {
    connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: server_properties(peer),
        mechanisms: LongStr::from_static(login::MECHANISMS),
        locales: LongStr::from_static("en_US"),
    }
}

fn server_properties(peer: &Peer) -> Table {
    let mut capabilities = TableWriter::new();
    for name in CAPABILITIES {
        capabilities.push(name.as_bytes(), Value::Bool(true));
    }
    TableWriter::new()
        .with("capabilities", Value::Table(capabilities.view()))
        .with("cluster_name", Value::LongStr(peer.node.cluster_id.as_bytes()))
        .with("copyright", Value::LongStr(b"Copyright (c) the RobustMQ authors"))
        .with("information", Value::LongStr(b"Licensed under the Apache License 2.0"))
        .with("platform", Value::LongStr(b"Rust"))
        .with("product", Value::LongStr(b"RobustMQ"))
        .with("version", Value::LongStr(peer.node.version.as_bytes()))
        .finish()
}

/// Any other method than the one that is due.
pub(crate) fn unexpected() -> Failure {
    Failure::new(ReplyCode::ChannelError, "unexpected frame before the connection is open")
}

/// Who the client is.
///
/// # Errors
///
/// 503 for a mechanism that was not offered, 403 for a response that is none of it.
pub(crate) fn start_ok(ok: connection::StartOk) -> Result<(Client, Credentials), End> {
    let id = (connection::CLASS_ID, connection::StartOk::METHOD_ID);
    let capabilities = match ok.client_properties.view().get("capabilities") {
        Some(Value::Table(capabilities)) => capabilities,
        Some(_) | None => TableRef::default(),
    };
    let can = |name| capabilities.get(name) == Some(Value::Bool(true));
    let client = |user| Client {
        user,
        told: can("authentication_failure_close"),
        mechanism: ok.mechanism.to_string(),
        cancel_notify: can("consumer_cancel_notify"),
        blocked: can("connection.blocked"),
    };
    match login::read(ok.mechanism.as_bytes(), &ok.response) {
        Ok(login) => {
            let credentials = login.credentials();
            Ok((client(login.user), credentials))
        }
        Err(LoginFault::Mechanism) => {
            let text = format!("unknown authentication mechanism '{}'", ok.mechanism);
            Err(Failure::new(ReplyCode::CommandInvalid, text).of(id).into())
        }
        Err(LoginFault::Response) => Err(refused(&client(Vec::new()))),
    }
}

/// Nobody is logged in: 403, but for clients without the capability to be told so, who are dropped.
pub(crate) fn refused(client: &Client) -> End {
    let text = format!(
        "Login was refused using authentication mechanism {}. For details see the broker logfile.",
        client.mechanism
    );
    if client.told {
        Failure::new(ReplyCode::AccessRefused, text).into()
    } else {
        End::Close(Close::Refused(text))
    }
}

/// The limits that the server proposes.
pub(crate) fn tune() -> connection::Tune {
    let Tuned { channel_max, frame_max, heartbeat } = Tuned::default();
    connection::Tune { channel_max, frame_max, heartbeat }
}

/// The limits that hold.
///
/// # Errors
///
/// 530 for what lies outside of the server's.
pub(crate) fn tune_ok(ok: &connection::TuneOk) -> Result<Tuned, Failure> {
    let server = Tuned::default();
    within("channel_max", ok.channel_max.into(), 1, server.channel_max.into())?;
    within("frame_max", ok.frame_max, send::FRAME_MIN, server.frame_max)?;
    Ok(Tuned { channel_max: ok.channel_max, frame_max: ok.frame_max, heartbeat: ok.heartbeat })
}

fn within(field: &str, value: u32, min: u32, max: u32) -> Result<(), Failure> {
    let (relation, bound, limit) = match value {
        0 => ("higher", "maximum", max),
        _ if value > max => ("higher", "maximum", max),
        _ if value < min => ("lower", "minimum", min),
        _ => return Ok(()),
    };
    let detail = if value == 0 { " (no limit)" } else { "" };
    let text = format!(
        "negotiated {field} = {value}{detail} is {relation} than the {bound} allowed value ({limit})"
    );
    let failure = Failure::new(ReplyCode::NotAllowed, text);
    Err(failure.of((connection::CLASS_ID, connection::Tune::METHOD_ID)))
}

/// Which virtual host; there is one.
///
/// # Errors
///
/// 530 for any other.
pub(crate) fn open(open: &connection::Open) -> Result<(), Failure> {
    if open.virtual_host == VHOST {
        return Ok(());
    }
    Err(Failure::new(ReplyCode::NotAllowed, format!("vhost {} not found", open.virtual_host)))
}

/// A name without the line breaks that RabbitMQ strips; a copy, so that it holds no read buffer.
pub(crate) fn stripped(name: &ShortStr) -> ShortStr {
    let kept: Vec<u8> =
        name.as_bytes().iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    ShortStr::new(Bytes::from(kept)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuned(channel_max: u16, frame_max: u32) -> Result<Tuned, String> {
        tune_ok(&connection::TuneOk { channel_max, frame_max, heartbeat: 0 })
            .map_err(|failure| failure.reply_text().to_string())
    }

    #[test]
    fn limits_outside_of_the_servers_are_refused_in_rabbitmqs_words() {
        assert!(tuned(2047, 131_072).is_ok());
        assert!(tuned(1, 4096).is_ok());
        assert_eq!(
            tuned(0, 131_072).expect_err("no limit"),
            "NOT_ALLOWED - negotiated channel_max = 0 (no limit) is higher than the maximum allowed \
             value (2047)"
        );
        assert_eq!(
            tuned(10, 4095).expect_err("too low"),
            "NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"
        );
        assert!(tuned(2048, 131_072).is_err());
        assert!(tuned(10, 0).is_err());
    }
}
