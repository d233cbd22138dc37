//! The metrics page: Prometheus text, every name with the prefix `robust_`.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use broker::Entry;
use model::budget::Class;
use storage::{Distribution, Health};

use super::{Sources, Status};
use crate::driver::{Ending, PROTOCOL_COUNTERS};
use crate::process;

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
        memory(&mut page, sources);
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
    for Entry { name, about, is_gauge, value } in sources.broker.stats().entries() {
        let (full, kind) = match is_gauge {
            true => (format!("broker_{name}"), "gauge"),
            false => (format!("broker_{name}_total"), "counter"),
        };
        page.family(&full, kind, &about);
        page.sample(&full, &[], value);
    }
    let help = "1 while publishing is refused for want of room on the disk or in memory.";
    page.family("publishing_refused", "gauge", help);
    page.sample("publishing_refused", &[], u8::from(sources.broker.refuses_because().is_some()));
    holders(page, sources);
}

/// Holders with losses that the page names.
const HOLDERS: usize = 100;

/// Who lost what it held for too long: the first of them by what they lost.
fn holders(page: &mut Page, sources: &Sources) {
    let losses = sources.broker.losses(HOLDERS);
    let help = "Records that a session or queue lost because it held too much, or for too long, of \
                what went out of sight.";
    page.family("holder_lost_records_total", "counter", help);
    for loss in &losses {
        page.sample("holder_lost_records_total", &[("holder", &loss.holder)], loss.records);
    }
}

fn memory(page: &mut Page, sources: &Sources) {
    let budget = &sources.budget;
    page.family("memory_budget_bytes", "gauge", "Memory that may be used.");
    page.sample("memory_budget_bytes", &[], budget.limit());
    page.family("memory_used_bytes", "gauge", "Memory that is accounted for, by class.");
    for (class, name) in Class::ALL {
        page.sample("memory_used_bytes", &[("class", name)], budget.used_by(class));
    }
    let help = "How full the budget is: 0 below 70 %, 1 caches shrink, 2 what was promised to \
                nobody is not kept, 3 publishing is refused, 4 the slowest readers are closed.";
    page.family("memory_level", "gauge", help);
    page.sample("memory_level", &[], budget.level() as u8);
}

fn engine(page: &mut Page, sources: &Sources) {
    const RESTED: &str = "Bytes written to resting files and checkpoints.";
    let stats = sources.engine.stats();
    let full = stats.health == Health::Full;
    let numbers = [
        ("storage_commits_total", "counter", "Groups written.", stats.commits),
        ("storage_syncs_total", "counter", "Syncs done.", stats.syncs),
        ("storage_written_bytes_total", "counter", "Bytes written.", stats.written_bytes),
        ("storage_padding_bytes_total", "counter", "Padding among them.", stats.padding_bytes),
        ("storage_disk_bytes", "gauge", "Bytes of the files.", stats.disk_bytes),
        ("storage_pending_bytes", "gauge", "Bytes waiting to be written.", stats.pending_bytes),
        ("storage_rested_bytes_total", "counter", RESTED, stats.rested_bytes),
        ("storage_full", "gauge", "1 while no space is left.", u64::from(full)),
        ("storage_poisoned", "gauge", "1 after a failed write.", u64::from(stats.is_poisoned())),
    ];
    for (name, kind, help, value) in numbers {
        page.family(name, kind, help);
        page.sample(name, &[], value);
    }
    for figure in &stats.figures {
        let name = format!("storage_{}", figure.name);
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        page.family(&name, kind, figure.about);
        page.sample(&name, &[], figure.value);
    }
    for distribution in &stats.distributions {
        page.histogram(&format!("storage_{}", distribution.name), distribution);
    }
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP robust_{name} {help}\n# TYPE robust_{name} {kind}");
    }

    fn histogram(&mut self, name: &str, distribution: &Distribution) {
        let Distribution { about, buckets, count, sum, .. } = distribution;
        self.family(name, "histogram", about);
        let bucket = format!("{name}_bucket");
        for (bound, below) in buckets {
            self.sample(&bucket, &[("le", &bound.to_string())], below);
        }
        self.sample(&bucket, &[("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], count);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "robust_{name}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let opening = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{opening}{label}=\"");
            // Names of sessions and queues are their clients' to choose.
            for letter in text.chars() {
                let _ = match letter {
                    '\\' => self.0.write_str("\\\\"),
                    '"' => self.0.write_str("\\\""),
                    '\n' => self.0.write_str("\\n"),
                    other => self.0.write_char(other),
                };
            }
            self.0.push('"');
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
        let mut page = Page(String::new());
        page.sample("a", &[("x", "a\\\"\nb")], 1);
        assert_eq!(page.0, "robust_a{x=\"a\\\\\\\"\\nb\"} 1\n");
    }

    #[test]
    fn a_histogram_counts_up_to_each_bound_and_ends_with_all() {
        let mut page = Page(String::new());
        let buckets = vec![(0.5, 1), (1.0, 3)];
        let all = Distribution { name: "a", about: "b.", buckets, count: 4, sum: 9.5 };
        page.histogram("a", &all);
        let lines: Vec<_> = page.0.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "robust_a_bucket{le=\"0.5\"} 1",
                "robust_a_bucket{le=\"1\"} 3",
                "robust_a_bucket{le=\"+Inf\"} 4",
                "robust_a_sum 9.5",
                "robust_a_count 4",
            ]
        );
    }
}
