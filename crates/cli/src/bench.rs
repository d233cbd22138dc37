//! The load generator behind `robust-bench`.
//!
//! ```text
//! options   what to do               plan     which connection does what
//! dialect   one protocol as a client, without sockets (mqtt, nats, kafka, amqp)
//! worker    one thread, one poll, many connections; counts and measures
//! pacing    when a publisher may send: by the clock, or by what came back
//! stamp     what a payload says about itself; loss and duplicates
//! server    CPU time and memory of the server, from /proc
//! report    the result as text and JSON
//! ```
//!
//! Two modes. With `--rate` it is an open loop: each message has an intended time of sending, and
//! its latency counts from then, however late it was really sent, so that a server that stalls is
//! not spared (no coordinated omission). Without, it is a closed loop: as fast as the server takes
//! it, with at most `--window` messages of each publisher on their way; latency counts from the
//! sending, and says more about the window than about the server.

mod amqp;
mod dialect;
mod kafka;
mod mqtt;
mod nats;
mod options;
mod pacing;
mod plan;
mod report;
mod run;
mod server;
mod stamp;
mod worker;

pub use options::{MqttVersion, Options, Protocol, Scenario};
pub use report::{Connections, Latency, Report, ServerUse, Traffic};
pub use run::run;

/// Why a run could not be completed, in one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server said or did something that ends the run.
    #[error("{0}")]
    Peer(String),
    /// A socket, a thread or a limit of this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The options make no sense together.
    #[error("{0}")]
    Options(String),
}

impl Failure {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    fn peer(what: impl Into<String>) -> Self {
        Self::Peer(what.into())
    }
}
