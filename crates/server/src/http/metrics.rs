//! The metrics page: Prometheus text, every name with the prefix `robust_`.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use super::{Sources, Status};
use crate::driver::{Ending, PROTOCOL_COUNTERS};
use crate::process;

/// Names among the broker's numbers that go up and down.
const GAUGES: &[&str] = &["streams", "queues", "sessions", "last_values", "waiting_reads"];

/// The whole page.
pub(super) fn page(status: &Status) -> String {
    let mut page = Page(String::with_capacity(8 * 1024));
    page.family("build_info", "gauge", "The version.");
    page.sample("build_info", &[("version", status.version)], 1);
    page.family("ready", "gauge", "1 while clients are served.");
    page.sample("ready", &[], u8::from(status.readiness().is_ok()));
    page.family("process_resident_memory_bytes", "gauge", "Resident memory of the process.");
    page.sample("process_resident_memory_bytes", &[], process::resident_bytes());
    page.family("process_cpu_seconds_total", "counter", "Processor time used.");
    page.sample("process_cpu_seconds_total", &[], process::cpu_seconds());
    if let Some(sources) = status.sources.get() {
        connections(&mut page, sources);
        broker(&mut page, sources);
        engine(&mut page, sources);
    }
    page.0
}

fn connections(page: &mut Page, sources: &Sources) {
    let protocols = || sources.protocols.iter().zip(&sources.counters.protocols);
    page.family("connections", "gauge", "Open connections.");
    for (protocol, totals) in protocols() {
        page.sample("connections", &[("protocol", protocol)], totals.open());
    }
    for (name, help, read) in PROTOCOL_COUNTERS {
        let name = format!("{name}_total");
        page.family(&name, "counter", help);
        for (protocol, totals) in protocols() {
            page.sample(&name, &[("protocol", protocol)], read(totals));
        }
    }
    page.family("connections_ended_total", "counter", "Connections that ended, by reason.");
    for (protocol, totals) in protocols() {
        for (ending, reason) in Ending::ALL {
            let labels = [("protocol", *protocol), ("reason", reason)];
            page.sample("connections_ended_total", &labels, totals.ended(ending));
        }
    }
    let help = "Connections closed at once because of limits.connections.";
    page.family("connections_refused_total", "counter", help);
    let refused = sources.counters.refused.load(Ordering::Relaxed);
    page.sample("connections_refused_total", &[], refused);
    let help = "Turns in which a worker read nothing because another one was behind.";
    page.family("congested_turns_total", "counter", help);
    let congested = sources.counters.congested.load(Ordering::Relaxed);
    page.sample("congested_turns_total", &[], congested);
}

fn broker(page: &mut Page, sources: &Sources) {
    for (name, value) in sources.broker.stats().entries() {
        let gauge = GAUGES.contains(&name);
        let full = if gauge { format!("broker_{name}") } else { format!("broker_{name}_total") };
        let kind = if gauge { "gauge" } else { "counter" };
        page.family(&full, kind, &format!("Broker: {}.", name.replace('_', " ")));
        page.sample(&full, &[], value);
    }
}

fn engine(page: &mut Page, sources: &Sources) {
    let stats = sources.engine.stats();
    let numbers = [
        ("storage_commits_total", "counter", "Groups written.", stats.commits),
        ("storage_syncs_total", "counter", "Syncs done.", stats.syncs),
        ("storage_written_bytes_total", "counter", "Bytes written.", stats.written_bytes),
        ("storage_padding_bytes_total", "counter", "Padding among them.", stats.padding_bytes),
        ("storage_disk_bytes", "gauge", "Bytes of the files.", stats.disk_bytes),
        ("storage_pending_bytes", "gauge", "Bytes waiting to be written.", stats.pending_bytes),
        ("storage_poisoned", "gauge", "1 after a failed write.", u64::from(stats.is_poisoned())),
    ];
    for (name, kind, help, value) in numbers {
        page.family(name, kind, help);
        page.sample(name, &[], value);
    }
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP robust_{name} {help}\n# TYPE robust_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "robust_{name}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let opening = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{opening}{label}=\"{text}\"");
        }
        let closing = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{closing} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_carry_prefix_and_labels() {
        let mut page = Page(String::new());
        page.sample("a", &[], 1);
        page.sample("b", &[("x", "1"), ("y", "2")], 2.5);
        assert_eq!(page.0, "robust_a 1\nrobust_b{x=\"1\",y=\"2\"} 2.5\n");
    }
}
