//! One run from start to end: the clock, the phases, the sum.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::pacing::Flow;
use super::plan::{self, Plan};
use super::report::{Connections, Latency, Report, ServerUse, Traffic};
use super::server::{self, Usage};
use super::worker::{Counts, Phase, Shared, Worker};
use super::{Failure, Options, Scenario};

/// Longest time for a thousand connections to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections of the first memory measurement.
const BASE_CONNECTIONS: usize = 1000;
/// After this long without an arrival nothing more is waited for.
const QUIET: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(5);

/// Runs one scenario and reports.
///
/// # Errors
///
/// [`Failure`]: the options make no sense, the server cannot be reached, or it ends a connection.
pub fn run(options: &Options) -> Result<Report, Failure> {
    options.check()?;
    let address = options.resolve()?;
    server::usage(&options.server_pid)?;
    raise_file_limit();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let run = (now.as_nanos() as u32) ^ std::process::id().rotate_left(16);
    let Plan { specs, publishers, copies } = plan::make(options, &format!("bench/{run:08x}"));
    let subscribers = specs.len() - publishers as usize;
    let total = specs.len();
    let shared = Arc::new(Shared {
        options: options.clone(),
        address,
        run,
        epoch: Instant::now(),
        phase: AtomicU8::new(Phase::Connect as u8),
        target: AtomicUsize::new(0),
        ready: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        flows: (0..publishers).map(|_| Flow::default()).collect(),
        copies,
    });
    let mut shares = vec![Vec::new(); options.threads];
    for (number, spec) in specs.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(number % options.threads) {
            share.push((number, spec));
        }
    }
    let workers = shares
        .into_iter()
        .map(|share| {
            let worker = Worker::new(Arc::clone(&shared), share)?;
            thread::Builder::new()
                .name("bench".to_owned())
                .spawn(move || worker.run())
                .map_err(Failure::io("cannot start a thread"))
        })
        .collect::<Result<Vec<_>, _>>()?;

    let mut report = Report::new(options, publishers, subscribers);
    let steps = Steps { shared: &shared, options };
    let outcome = match options.scenario {
        Scenario::Connections => steps.connections(total, &mut report),
        Scenario::Publish
        | Scenario::Subscribe
        | Scenario::FanOut
        | Scenario::FanIn
        | Scenario::Pairs => steps.traffic(total, &mut report),
    };
    steps.enter(Phase::Stop);
    let mut all = Vec::new();
    let mut failure = None;
    for worker in workers {
        match worker.join() {
            Ok(Ok(counts)) => all.push(counts),
            Ok(Err(error)) => failure = Some(error),
            Err(_) => failure = Some(Failure::peer("a thread of the load generator panicked")),
        }
    }
    // What a worker saw is the reason; that the run did not go on is its consequence.
    if let Some(failure) = failure {
        return Err(failure);
    }
    outcome?;
    if options.scenario != Scenario::Connections {
        sum_up(&mut report, &shared, all)?;
    }
    report.bench_cpu_seconds = server::usage(&[std::process::id()])?.cpu_seconds;
    Ok(report)
}

struct Steps<'a> {
    shared: &'a Shared,
    options: &'a Options,
}

impl Steps<'_> {
    fn enter(&self, phase: Phase) {
        self.shared.phase.store(phase as u8, Ordering::Release);
    }

    /// Sleeps, but not on after a failure.
    fn sleep(&self, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        loop {
            if self.shared.failed.load(Ordering::Acquire) {
                return Err(Failure::peer("the run was given up"));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// Makes connections until there are `target` and all are ready.
    fn connect(&self, target: usize) -> Result<(), Failure> {
        self.shared.target.store(target, Ordering::Release);
        let thousands = u32::try_from(target / 1000 + 1).unwrap_or(u32::MAX);
        let end = Instant::now() + CONNECT_TIMEOUT * thousands;
        while self.shared.ready.load(Ordering::Acquire) < target {
            if Instant::now() > end {
                let ready = self.shared.ready.load(Ordering::Acquire);
                return Err(Failure::peer(format!("{ready} of {target} connections are ready")));
            }
            self.sleep(STEP)?;
        }
        Ok(())
    }

    fn usage(&self) -> Result<Usage, Failure> {
        server::usage(&self.options.server_pid)
    }

    fn traffic(&self, total: usize, report: &mut Report) -> Result<(), Failure> {
        self.connect(total)?;
        self.enter(Phase::WarmUp);
        self.sleep(Duration::from_secs_f64(self.options.warmup))?;
        let before = self.usage()?;
        let start = Instant::now();
        self.enter(Phase::Measure);
        self.sleep(self.options.duration())?;
        self.enter(Phase::Drain);
        report.seconds = start.elapsed().as_secs_f64();
        let after = self.usage()?;
        self.drain()?;
        if !self.options.server_pid.is_empty() {
            report.server = Some(server_use(self.options, before, after));
        }
        Ok(())
    }

    /// Waits for what is on its way.
    fn drain(&self) -> Result<(), Failure> {
        let end = Instant::now() + Duration::from_secs_f64(self.options.drain);
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let flows = &self.shared.flows;
            let sent: u64 = flows.iter().map(|flow| flow.sent.load(Ordering::Relaxed)).sum();
            let arrived: u64 = flows.iter().map(|flow| flow.arrived.load(Ordering::Relaxed)).sum();
            let now = Instant::now();
            if arrived != last {
                (last, since) = (arrived, now);
            }
            if arrived >= sent * self.shared.copies || now > end || now - since > QUIET {
                return Ok(());
            }
            self.sleep(STEP)?;
        }
    }

    fn connections(&self, total: usize, report: &mut Report) -> Result<(), Failure> {
        let settle = Duration::from_secs_f64(self.options.warmup.max(0.5));
        let base = BASE_CONNECTIONS.min(total);
        self.connect(base)?;
        self.sleep(settle)?;
        let before = self.usage()?;
        let start = Instant::now();
        self.connect(total)?;
        let took = start.elapsed().as_secs_f64();
        self.sleep(settle)?;
        let after = self.usage()?;
        let more = (total - base) as f64;
        let grown = after.rss_bytes as f64 - before.rss_bytes as f64;
        report.seconds = took;
        report.connections = Some(Connections {
            base,
            full: total,
            rss_base_bytes: before.rss_bytes,
            rss_full_bytes: after.rss_bytes,
            bytes_per_connection: if more > 0.0 { grown / more } else { 0.0 },
            connects_per_second: if took > 0.0 { more / took } else { 0.0 },
        });
        if !self.options.server_pid.is_empty() {
            report.server = Some(server_use(self.options, before, after));
        }
        Ok(())
    }
}

fn server_use(options: &Options, before: Usage, after: Usage) -> ServerUse {
    ServerUse {
        pids: options.server_pid.clone(),
        cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        cpu_seconds_per_million: None,
        messages_per_cpu_second: None,
        rss_bytes: after.rss_bytes,
        rss_peak_bytes: after.rss_peak_bytes,
    }
}

fn sum_up(report: &mut Report, shared: &Shared, all: Vec<Counts>) -> Result<(), Failure> {
    let mut latency =
        Histogram::<u64>::new(3).map_err(|error| Failure::Options(error.to_string()))?;
    let sent: u64 = shared.flows.iter().map(|flow| flow.sent.load(Ordering::Relaxed)).sum();
    let (mut published, mut arrived) = (0, 0);
    let (mut lost, mut duplicates, mut reordered, mut foreign) = (0, 0, 0, 0);
    for counts in all {
        published += counts.published;
        arrived += counts.arrived;
        lost += counts.lost;
        duplicates += counts.duplicates;
        reordered += counts.reordered;
        foreign += counts.foreign;
        latency.add(counts.latency).map_err(|error| Failure::Options(error.to_string()))?;
    }
    if shared.options.scenario == Scenario::Publish {
        // Nobody received: what was never acknowledged is missing.
        let acked: u64 = shared.flows.iter().map(|flow| flow.arrived.load(Ordering::Relaxed)).sum();
        lost = sent.saturating_sub(acked);
    }
    let seconds = report.seconds.max(f64::MIN_POSITIVE);
    report.traffic = Some(Traffic {
        published_per_second: published as f64 / seconds,
        arrived_per_second: arrived as f64 / seconds,
        published: sent,
        expected: sent * shared.copies,
        lost,
        duplicates,
        reordered,
        foreign,
        latency: Latency {
            count: latency.len(),
            mean_us: latency.mean() / 1000.0,
            p50_us: micros(&latency, 0.5),
            p90_us: micros(&latency, 0.9),
            p99_us: micros(&latency, 0.99),
            p999_us: micros(&latency, 0.999),
            max_us: latency.max() as f64 / 1000.0,
        },
    });
    if let Some(server) = &mut report.server
        && arrived > 0
        && server.cpu_seconds > 0.0
    {
        server.cpu_seconds_per_million = Some(server.cpu_seconds * 1e6 / arrived as f64);
        server.messages_per_cpu_second = Some(arrived as f64 / server.cpu_seconds);
    }
    Ok(())
}

fn micros(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1000.0
}

/// As many open files as the system allows; if not, the connections tell.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
