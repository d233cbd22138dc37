//! What the engine does at its contract, beside what the disk does without it.
//!
//! ```text
//!  main     cases x rounds, each in a process of its own; the table at the end
//!  options  the command line, and how much work the cases do
//!  bench    what a case works with: its folder, probes around a measurement, its figures
//!  probe    the disk without an engine: write and sync in a loop, reads of a file
//!  load     records, and the closed loop that keeps writes in flight
//!  proc     what /proc says of this process; the page cache; children
//!  report   figures of all rounds -> medians, ratios, targets
//!
//!  appends  durable appends: in flight, many logs, large batches
//!  catchup  readers far behind while writing goes on
//!  lookups  random reads, reads by subject
//!  idle     memory of logs that do nothing
//!  wear     bytes written for each byte appended, syncs
//!  restart  opening gigabytes after the process was killed
//! ```
//!
//! ```text
//! cargo bench -p storage-journal --bench contract -- [--only NAME ...] [--seconds S] [--rounds N]
//!     [--json FILE] [--dir DIR] [--restart-gb GB] [--list] [--test]
//! ```
//!
//! Every rate stands between two runs of the probe, made right before and right after it, because
//! a disk that is shared changes its mind within seconds. With `--test` (or without the `--bench`
//! that cargo passes) each case runs for a moment, to see that it still works.

mod appends;
mod bench;
mod catchup;
mod idle;
mod load;
mod lookups;
mod options;
mod probe;
mod proc;
mod report;
mod restart;
mod wear;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use bench::Bench;
use options::{Options, Part};
use report::Figure;

/// What a case returns: it says what is wrong, and the other cases go on.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A case: its name, how often it runs at most, and what it runs.
///
/// What counts bytes comes out the same each time; what is filled for minutes is filled once.
type Case = (&'static str, usize, fn(&mut Bench) -> Outcome<()>);

/// In the order in which they run.
const CASES: &[Case] = &[
    ("appends-1", usize::MAX, |bench| appends::in_flight(bench, 1)),
    ("appends-64", usize::MAX, |bench| appends::in_flight(bench, 64)),
    ("appends-1024", usize::MAX, |bench| appends::in_flight(bench, 1024)),
    ("first-64", usize::MAX, |bench| appends::first(bench, 64)),
    ("logs-64", usize::MAX, |bench| appends::many_logs(bench, 64)),
    ("logs-1024", usize::MAX, |bench| appends::many_logs(bench, 1024)),
    ("batches-2", usize::MAX, |bench| appends::batches(bench, 2, true)),
    ("batches-4", usize::MAX, |bench| appends::batches(bench, 4, true)),
    ("first-batches-4", usize::MAX, |bench| appends::batches(bench, 4, false)),
    ("catch-up-hot", usize::MAX, catchup::hot),
    ("catch-up-cold", usize::MAX, catchup::cold),
    ("random-reads", usize::MAX, lookups::random),
    ("subjects", usize::MAX, lookups::subjects),
    ("idle-logs", 1, |bench| idle::logs(bench, 0)),
    ("idle-logs-one-record", 1, |bench| idle::logs(bench, 1)),
    ("wear", 1, wear::wear),
    ("restart", 1, restart::restart),
];

fn main() -> ExitCode {
    storage_journal::heap::give_back_large_blocks();
    let done = Options::parse(std::env::args().skip(1)).map_err(Into::into).and_then(|options| {
        match &options.part {
            Part::All => all(&options),
            Part::Case(name) => one(&options, name),
            Part::Open => restart::open(&options),
            Part::Fill => restart::fill(&options),
            Part::Reopen => idle::reopen(&options),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("contract: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the cases that are asked for, each in a process of its own, and prints the table.
fn all(options: &Options) -> Outcome<()> {
    if options.list {
        return print(&CASES.iter().map(|(name, ..)| format!("{name}\n")).collect::<String>());
    }
    let exact = |asked: &str| CASES.iter().any(|(name, ..)| *name == asked);
    let names = |asked: &str, name: &str| {
        if exact(asked) { name == asked } else { name.starts_with(asked) }
    };
    let chosen =
        |name: &str| options.only.is_empty() || options.only.iter().any(|asked| names(asked, name));
    let cases: Vec<&Case> = CASES.iter().filter(|(name, ..)| chosen(name)).collect();
    if cases.is_empty() {
        return Err("no case has such a name: see --list".into());
    }
    let mut rounds: Vec<Vec<Figure>> = Vec::new();
    let mut failures = Vec::new();
    for round in 1..=options.rounds {
        let mut figures = Vec::new();
        for (name, ..) in cases.iter().filter(|(_, most, _)| round <= *most) {
            say(&format!("round {round}: {name}"));
            match proc::child(options, &Part::Case((*name).to_owned()), &options.dir) {
                Ok(lines) => {
                    for line in lines {
                        let figure: Figure = serde_json::from_str(&line)?;
                        say(&format!("  {}", figure.brief()));
                        figures.push(figure);
                    }
                }
                Err(error) => failures.push(format!("round {round}: {name}: {error}")),
            }
        }
        rounds.push(figures);
    }
    let summary = report::summarise(&rounds);
    print(&report::table(&summary))?;
    if let Some(file) = &options.json {
        write_json(file, options, &rounds, &summary)?;
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// Runs one case here, and prints its figures for the process that asked.
fn one(options: &Options, name: &str) -> Outcome<()> {
    let found = CASES.iter().find(|(known, ..)| *known == name);
    let (name, _, run) = found.ok_or("no case has this name")?;
    let mut bench = Bench::new(options, name)?;
    run(&mut bench)?;
    for figure in bench.figures() {
        figure.check()?;
        print(&format!("{}\n", serde_json::to_string(figure)?))?;
    }
    Ok(())
}

fn write_json(
    file: &Path,
    options: &Options,
    rounds: &[Vec<Figure>],
    summary: &[report::Line],
) -> Outcome<()> {
    let found = serde_json::json!({
        "seconds": options.scale.seconds,
        "rounds": rounds,
        "summary": summary,
    });
    Ok(std::fs::write(file, serde_json::to_string_pretty(&found)? + "\n")?)
}

/// To the terminal, beside the results.
fn say(text: &str) {
    // Nobody listens any more: then nobody misses it.
    drop(writeln!(io::stderr(), "{text}"));
}

fn print(text: &str) -> Outcome<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
