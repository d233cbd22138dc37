//! What values must be together; gives what the server starts with.

use std::ops::RangeInclusive;

use bytes::Bytes;
use protocol::{Cleanup, Compaction, PER_SUBJECT_MAX, Retention, StreamDeclaration};

use super::load::Loaded;
use super::setting::{Addresses, Bounded};
use super::{Invalid, Section, Stream};
use crate::protocols;

/// Values in the form in which the server uses them.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What holds for all sessions.
    pub limits: model::limits::Limits,
    /// I/O threads.
    pub workers: u16,
    /// `host:port` that clients are told.
    pub advertise: Option<(String, u16)>,
    /// Declared streams.
    pub streams: Vec<StreamDeclaration>,
    /// What is logged.
    pub log: tracing_subscriber::filter::Targets,
    /// Addresses that other machines reach, allowed all the same.
    pub remote: Vec<String>,
}

impl Loaded {
    /// Checks what no value shows alone.
    ///
    /// # Errors
    ///
    /// [`Invalid`] at the first thing that is wrong, with the place of its key.
    pub fn check(&self, sections: &[Section], cores: usize) -> Result<Checked, Invalid> {
        let config = &self.config;
        self.ranges()?;
        let workers = match config.node.workers {
            0 => u32::try_from(cores / 2).unwrap_or(u32::MAX).clamp(1, 64),
            given => given,
        };
        let mut limits = model::limits::Limits::default();
        limits.message_bytes = small(config.limits.message_bytes.0);
        limits.headers = config.limits.headers as usize;
        limits.outbound_bytes = small(config.limits.outbound_bytes.0);
        limits.session_messages = config.limits.session_messages as usize;
        limits.subscriptions = config.limits.subscriptions as usize;
        Ok(Checked {
            limits,
            workers: u16::try_from(workers).unwrap_or(u16::MAX),
            advertise: self.advertise()?,
            streams: config.streams.iter().map(declaration).collect::<Result<_, _>>()?,
            log: config.node.log.parse().map_err(|_| {
                let found = &config.node.log;
                self.invalid("node.log", &format!("expected a level such as info, found {found:?}"))
            })?,
            remote: self.remote(sections)?,
        })
    }

    fn invalid(&self, path: &str, what: &str) -> Invalid {
        Invalid { place: self.place(path), what: format!("{path}: {what}") }
    }

    fn ranges(&self) -> Result<(), Invalid> {
        let config = &self.config;
        let kib: u64 = 1 << 10;
        let mib: u64 = 1 << 20;
        let ranges: &[(&str, u64, RangeInclusive<u64>)] = &[
            ("node.workers", config.node.workers.into(), 0..=64),
            ("limits.message_bytes", config.limits.message_bytes.0, 1..=8 * mib),
            ("limits.headers", config.limits.headers.into(), 16..=65_536),
            ("limits.connections", config.limits.connections.into(), 1..=4_000_000),
            ("limits.requests", config.limits.requests.into(), 1..=1_000_000),
            ("limits.outbound_bytes", config.limits.outbound_bytes.0, 64 * kib..=4096 * mib),
            ("limits.session_messages", config.limits.session_messages.into(), 1..=1_000_000),
            ("limits.subscriptions", config.limits.subscriptions.into(), 1..=10_000_000),
            (protocols::DEFAULT_PARTITIONS, config.catalogue.default_partitions.into(), 1..=1_000),
            ("default_stream.partitions", config.default_stream.partitions.into(), 1..=1_000),
        ];
        self.within(ranges)?;
        self.storage_ranges()
    }

    fn storage_ranges(&self) -> Result<(), Invalid> {
        let storage = &self.config.storage;
        let mib: u64 = 1 << 20;
        let rate = storage.drain_rate.0.map_or(mib, |size| size.0);
        self.within(&[
            ("storage.segment_bytes", storage.segment_bytes.0, mib..=1024 * mib),
            ("storage.spare_segments", storage.spare_segments.into(), 0..=64),
            // A message of the largest size must fit, with what its protocol adds.
            ("storage.pending_bytes", storage.pending_bytes.0, 16 * mib..=16_384 * mib),
            ("storage.cache_bytes", storage.cache_bytes.0, 0..=65_536 * mib),
            ("storage.index_cache_bytes", storage.index_cache_bytes.0, mib / 4..=65_536 * mib),
            ("storage.drain_segments", storage.drain_segments.into(), 2..=1_000),
            ("storage.drain_bytes_per_second", rate, mib..=65_536 * mib),
            ("storage.hot_bytes", storage.hot_bytes.0, 64 << 10..=1024 * mib),
            ("storage.checkpoint_rows", storage.checkpoint_rows.into(), 1_000..=100_000_000),
            ("storage.sync_interval", storage.sync_interval.0, 1..=60_000),
            ("storage.lazy_interval", storage.lazy_interval.0, 1..=10_000),
            ("storage.lazy_sync_interval", storage.lazy_sync_interval.0, 1..=60_000),
        ])
    }

    fn within(&self, ranges: &[(&str, u64, RangeInclusive<u64>)]) -> Result<(), Invalid> {
        for (path, value, range) in ranges {
            if !range.contains(value) {
                let (low, high) = (range.start(), range.end());
                let what = format!("expected {low} to {high}, found {value}");
                return Err(self.invalid(path, &what));
            }
        }
        Ok(())
    }

    fn advertise(&self) -> Result<Option<(String, u16)>, Invalid> {
        let text = self.config.catalogue.advertise.as_str();
        if text.is_empty() {
            return Ok(None);
        }
        let parts = text.rsplit_once(':').and_then(|(host, port)| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port: u16 = port.parse().ok()?;
            (!host.is_empty() && port != 0).then(|| (host.to_owned(), port))
        });
        let bad =
            || self.invalid(protocols::ADVERTISE, &format!("expected host:port, found {text:?}"));
        parts.map(Some).ok_or_else(bad)
    }

    /// Addresses that other machines reach: refused unless that is allowed.
    fn remote(&self, sections: &[Section]) -> Result<Vec<String>, Invalid> {
        let mut remote = Vec::new();
        let names = sections.iter().map(|(name, _)| *name);
        let all = names.zip(&self.config.listen).chain([("http", &self.config.http)]);
        for (name, Addresses(addresses)) in all {
            for address in addresses.iter().filter(|address| !address.ip().is_loopback()) {
                if !self.config.security.allow_remote {
                    let what = format!(
                        "{address} is not a loopback address; encryption and users come with a \
                         later version, until then other machines are let in only with \
                         security.allow_remote_without_authentication = true"
                    );
                    return Err(self.invalid(&format!("{name}.listen"), &what));
                }
                remote.push(format!("{name} {address}"));
            }
        }
        Ok(remote)
    }
}

fn small(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn declaration(stream: &Stream) -> Result<StreamDeclaration, Invalid> {
    let invalid = |key: &str, what: String| {
        let place = stream.places.iter().find(|(name, _)| *name == key);
        let place = place.map_or(&stream.place, |(_, place)| place).clone();
        Invalid { place, what: format!("stream.{key}: {what}") }
    };
    if stream.name.is_empty() {
        return Err(invalid("name", "a stream needs a name".to_owned()));
    }
    if !protocols::is_stream_name(&stream.name) {
        let what = "letters, digits, '.', '_' and '-', at most 249 of them";
        return Err(invalid("name", format!("expected {what}, found {:?}", stream.name)));
    }
    if stream.partitions > 1_000 {
        let found = stream.partitions;
        return Err(invalid("partitions", format!("expected 0 to 1000, found {found}")));
    }
    let filter = |text: &String| protocols::filter(text).map_err(|what| invalid("filters", what));
    Ok(StreamDeclaration {
        name: Bytes::copy_from_slice(stream.name.as_bytes()),
        filters: stream.filters.iter().map(filter).collect::<Result<_, _>>()?,
        partitions: stream.partitions,
        retention: retention(stream).map_err(|(key, what)| invalid(key, what))?,
        durability: stream.durability,
        dry_run: false,
    })
}

/// What a stream keeps in sight; or the key that is wrong, and why.
fn retention(stream: &Stream) -> Result<Retention, (&'static str, String)> {
    let max_records = count("max_records", &stream.max_records)?;
    let max_per_subject = count("max_per_subject", &stream.max_per_subject)?;
    let max_per_subject = max_per_subject
        .map(|max| {
            let fits = u32::try_from(max).ok().filter(|max| (1..=PER_SUBJECT_MAX).contains(max));
            fits.ok_or_else(|| {
                ("max_per_subject", format!("expected 1 to {PER_SUBJECT_MAX}, found {max}"))
            })
        })
        .transpose()?;
    let limits =
        stream.max_age.0.is_some() || stream.max_bytes.0.is_some() || max_records.is_some();
    let bounded = stream.max_bytes.0.is_some() || max_records.is_some();
    if stream.refuse_when_full && !bounded {
        let what = "it needs max_bytes or max_records, which say when the stream is full";
        return Err(("refuse_when_full", what.to_owned()));
    }
    let max_message_bytes = stream
        .max_message_bytes
        .0
        .map(|size| {
            u32::try_from(size.0).map_err(|_| {
                ("max_message_bytes", format!("expected up to 8MiB, found {}", size.0))
            })
        })
        .transpose()?;
    Ok(Retention {
        max_age_ms: stream.max_age.0.map(|span| span.0),
        max_bytes: stream.max_bytes.0.map(|size| size.0),
        max_records,
        max_per_subject,
        refuse_when_full: stream.refuse_when_full,
        until_consumed: stream.until_consumed,
        cleanup: match (stream.compact, limits) {
            (false, _) => Cleanup::Delete,
            (true, false) => Cleanup::Compact,
            (true, true) => Cleanup::Both,
        },
        compaction: Compaction {
            delete_retention_ms: stream.tombstones_for.0.map(|span| span.0),
            ..Compaction::default()
        },
        max_message_bytes,
        held_bytes: stream.held_bytes.0.map(|size| size.0),
        held_age_ms: stream.held_age.0.map(|span| span.0),
    })
}

/// A number of records that may be `none`.
fn count(
    key: &'static str,
    Bounded(count): &Bounded<u32>,
) -> Result<Option<u64>, (&'static str, String)> {
    match count {
        Some(0) => Err((key, "expected a number from 1, or \"none\"".to_owned())),
        other => Ok(other.map(u64::from)),
    }
}
