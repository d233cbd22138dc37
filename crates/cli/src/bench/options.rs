//! The command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::{Failure, stamp};

/// Measures a message server: rates, latency, loss, duplicates, and what it costs the server.
#[derive(Clone, Debug, Parser)]
#[command(name = "robust-bench", version)]
pub struct Options {
    /// What to measure.
    #[arg(value_enum)]
    pub scenario: Scenario,
    /// The protocol to speak.
    #[arg(long, value_enum, default_value = "mqtt")]
    pub protocol: Protocol,
    /// Where the server listens [default: 127.0.0.1 and the protocol's own port].
    #[arg(long)]
    pub address: Option<String>,
    /// Publishers (publish, fan-in), or pairs of one publisher and one subscriber (pairs).
    #[arg(long, default_value_t = 1)]
    pub publishers: usize,
    /// Subscribers (subscribe, fan-out).
    #[arg(long, default_value_t = 10)]
    pub subscribers: usize,
    /// Idle connections, each with one subscription (connections).
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// Bytes of payload, at least 24.
    #[arg(long, default_value_t = 64)]
    pub size: usize,
    /// Messages per second of all publishers together: open loop. Without it, as fast as it goes.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Messages of one publisher that may be on their way in the closed loop.
    #[arg(long, default_value_t = 1000)]
    pub window: u64,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10.0)]
    pub duration: f64,
    /// Seconds of the same load before that.
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// Most seconds to wait for what is still on its way afterwards.
    #[arg(long, default_value_t = 5.0)]
    pub drain: f64,
    /// Threads of the load generator.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// MQTT quality of service, of publishers and subscribers.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// MQTT version.
    #[arg(long, value_enum, default_value = "3.1.1")]
    pub mqtt_version: MqttVersion,
    /// AMQP: durable queues and persistent messages.
    #[arg(long)]
    pub persistent: bool,
    /// Kafka: records in one batch.
    #[arg(long, default_value_t = 100)]
    pub batch: usize,
    /// Process id of the server: its CPU time and memory are reported. May be repeated.
    #[arg(long)]
    pub server_pid: Vec<u32>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Publishers alone, until the server has taken the messages.
    Publish,
    /// Subscribers alone, of what others publish below `bench/`.
    Subscribe,
    /// Each message goes to all subscribers.
    FanOut,
    /// All messages go to one subscriber.
    FanIn,
    /// Each publisher has a subscriber of its own.
    Pairs,
    /// Idle connections, and the server's memory for each.
    Connections,
}

/// The protocol that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// MQTT.
    Mqtt,
    /// Core NATS.
    Nats,
    /// Kafka (publish only).
    Kafka,
    /// AMQP 0-9-1.
    Amqp,
}

/// A version of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MqttVersion {
    /// MQTT 3.1.1.
    #[value(name = "3.1.1")]
    V311,
    /// MQTT 5.0.
    #[value(name = "5")]
    V5,
}

impl Options {
    /// The address to connect to.
    pub(super) fn resolve(&self) -> Result<SocketAddr, Failure> {
        let port = match self.protocol {
            Protocol::Mqtt => 1883,
            Protocol::Nats => 4222,
            Protocol::Kafka => 9092,
            Protocol::Amqp => 5672,
        };
        let text = self.address.clone().unwrap_or_else(|| format!("127.0.0.1:{port}"));
        let text = if text.contains(':') { text } else { format!("{text}:{port}") };
        let mut found =
            text.to_socket_addrs().map_err(Failure::io(format!("cannot resolve {text}")))?;
        found.next().ok_or_else(|| Failure::Options(format!("{text} has no address")))
    }

    /// Refuses what cannot be run.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let refuse = |text: &str| Err(Failure::Options(text.to_owned()));
        if self.size < stamp::BYTES {
            return refuse("--size must be at least 24: a payload carries its number and its time");
        }
        if [self.publishers, self.subscribers, self.connections, self.threads, self.batch]
            .contains(&0)
            || self.window == 0
        {
            return refuse("counts must be at least 1");
        }
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return refuse("--rate must be above 0");
        }
        if ![self.duration, self.warmup, self.drain].iter().all(|s| (0.0..=86_400.0).contains(s)) {
            return refuse("times must be between 0 seconds and a day");
        }
        if self.protocol == Protocol::Kafka && self.scenario != Scenario::Publish {
            return refuse("kafka can only publish so far");
        }
        Ok(())
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration)
    }
}
