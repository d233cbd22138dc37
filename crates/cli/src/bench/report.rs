//! The result of a run.

use std::fmt::Write;

use serde::Serialize;

use super::{Options, Protocol, Scenario};

/// What a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of the tool.
    pub version: &'static str,
    /// The scenario's name.
    pub scenario: String,
    /// The protocol's name.
    pub protocol: String,
    /// `open` or `closed`.
    pub load: &'static str,
    /// The rate asked for in the open loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The window of the closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// Quality of service, for MQTT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<u8>,
    /// Bytes of payload.
    pub size: usize,
    /// Publishers.
    pub publishers: u32,
    /// Subscribers.
    pub subscribers: usize,
    /// Seconds measured.
    pub seconds: f64,
    /// Messages, unless the scenario has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// Memory for connections, in the scenario `connections`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<Connections>,
    /// What the server used, if its process is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerUse>,
    /// CPU time of the load generator itself: near the seconds times the threads, it was the limit.
    pub bench_cpu_seconds: f64,
}

/// Messages of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Traffic {
    /// Messages per second that the publishers sent while it was measured.
    pub published_per_second: f64,
    /// Messages per second that arrived: at subscribers, or acknowledged if there are none.
    pub arrived_per_second: f64,
    /// Messages sent in all, warm-up included.
    pub published: u64,
    /// Deliveries that should have come of them.
    pub expected: u64,
    /// Deliveries that did not come.
    pub lost: u64,
    /// Deliveries that came again.
    pub duplicates: u64,
    /// Deliveries that came after a later message of the same publisher.
    pub reordered: u64,
    /// Messages that this run did not publish.
    pub foreign: u64,
    /// From sending to arrival, or to the acknowledgement.
    pub latency: Latency,
}

/// A latency distribution, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: f64,
    /// 90 % are faster.
    pub p90_us: f64,
    /// 99 % are faster.
    pub p99_us: f64,
    /// 99.9 % are faster.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
}

/// What idle connections cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Connections {
    /// Connections of the first measurement.
    pub base: usize,
    /// Connections of the second.
    pub full: usize,
    /// Resident bytes of the server with `base`.
    pub rss_base_bytes: u64,
    /// Resident bytes of the server with `full`.
    pub rss_full_bytes: u64,
    /// The difference for each connection.
    pub bytes_per_connection: f64,
    /// Connections made per second.
    pub connects_per_second: f64,
}

/// What the server used while it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct ServerUse {
    /// Its processes.
    pub pids: Vec<u32>,
    /// CPU seconds.
    pub cpu_seconds: f64,
    /// CPU seconds for a million arrived messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds_per_million: Option<f64>,
    /// Arrived messages for each CPU second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_cpu_second: Option<f64>,
    /// Resident bytes at the end.
    pub rss_bytes: u64,
    /// Most resident bytes since it started.
    pub rss_peak_bytes: u64,
}

impl Report {
    /// A report without results.
    pub(super) fn new(options: &Options, publishers: u32, subscribers: usize) -> Self {
        let closed = options.rate.is_none();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            scenario: name(options.scenario).to_owned(),
            protocol: protocol_name(options.protocol).to_owned(),
            load: if closed { "closed" } else { "open" },
            rate: options.rate,
            window: closed.then_some(options.window),
            qos: (options.protocol == Protocol::Mqtt).then_some(options.qos),
            size: options.size,
            publishers,
            subscribers,
            seconds: 0.0,
            traffic: None,
            connections: None,
            server: None,
            bench_cpu_seconds: 0.0,
        }
    }

    /// One JSON object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }

    /// A few lines for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{} {}: {} publishers, {} subscribers, {} bytes, {} loop, {:.1} s\n",
            self.protocol,
            self.scenario,
            self.publishers,
            self.subscribers,
            self.size,
            self.load,
            self.seconds
        );
        // Writing to a string does not fail.
        if let Some(traffic) = &self.traffic {
            let _ = writeln!(
                text,
                "published  {:.0}/s\narrived    {:.0}/s\nlost {} of {}, duplicates {}, reordered {}, foreign {}",
                traffic.published_per_second,
                traffic.arrived_per_second,
                traffic.lost,
                traffic.expected,
                traffic.duplicates,
                traffic.reordered,
                traffic.foreign
            );
            let latency = &traffic.latency;
            let _ = writeln!(
                text,
                "latency us mean {:.0}  p50 {:.0}  p90 {:.0}  p99 {:.0}  p99.9 {:.0}  max {:.0}  ({} samples)",
                latency.mean_us,
                latency.p50_us,
                latency.p90_us,
                latency.p99_us,
                latency.p999_us,
                latency.max_us,
                latency.count
            );
        }
        if let Some(connections) = &self.connections {
            let _ = writeln!(
                text,
                "memory     {} bytes with {} connections, {} with {}: {:.0} bytes each; {:.0} connects/s",
                connections.rss_base_bytes,
                connections.base,
                connections.rss_full_bytes,
                connections.full,
                connections.bytes_per_connection,
                connections.connects_per_second
            );
        }
        if let Some(server) = &self.server {
            let _ = writeln!(
                text,
                "server     {:.2} CPU s, {:.3} CPU s per million, {} bytes resident (peak {})",
                server.cpu_seconds,
                server.cpu_seconds_per_million.unwrap_or(f64::NAN),
                server.rss_bytes,
                server.rss_peak_bytes
            );
        }
        let _ = write!(text, "generator  {:.2} CPU s", self.bench_cpu_seconds);
        text
    }
}

/// The scenario as the command line writes it.
fn name(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Publish => "publish",
        Scenario::Subscribe => "subscribe",
        Scenario::FanOut => "fan-out",
        Scenario::FanIn => "fan-in",
        Scenario::Pairs => "pairs",
        Scenario::Connections => "connections",
    }
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Mqtt => "mqtt",
        Protocol::Nats => "nats",
        Protocol::Kafka => "kafka",
        Protocol::Amqp => "amqp",
    }
}
