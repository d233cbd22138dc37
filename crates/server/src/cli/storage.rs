//! `robust-server storage`: looking at a data folder that no server uses.
//!
//! Exit status: 0 all is good, 1 something is damaged, 2 it cannot be looked at.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use broker::{LogOwner, log_owners};
use bytes::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use storage::LogId;
use storage_journal::audit::{Contents, Damage, Folder, Verdict};
use storage_journal::vfs::RealFs;

use super::{Given, complain, dump, inspect, one_line};
use crate::config::Section;

/// Something is damaged.
const DAMAGED: u8 = 1;
/// It cannot be looked at.
const UNUSABLE: u8 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Say what is in the folder: segments, resting files, tables, logs.
    Inspect(Looked),
    /// Read all that is stored and say what is damaged.
    Verify(Looked),
    /// Print records, or rows of a table.
    Dump(dump::Asked),
}

#[derive(Debug, Args)]
pub(super) struct Looked {
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    form: Form,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Form {
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Why there is no answer: one line.
#[derive(Debug)]
pub(super) enum Failed {
    /// It cannot be looked at.
    Unusable(String),
    /// Nobody reads the answer any more.
    Output(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<storage_journal::audit::Refused> for Failed {
    fn from(error: storage_journal::audit::Refused) -> Self {
        Self::Unusable(one_line(error))
    }
}

/// Answers one verb.
pub(super) fn run(verb: Verb, sections: &[Section]) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let answered = match verb {
        Verb::Inspect(Looked { given, form }) => {
            open(given, sections).and_then(|(_, folder)| inspect::run(&folder, form, &mut out))
        }
        Verb::Verify(Looked { given, form }) => {
            open(given, sections).and_then(|(name, folder)| verify(&name, &folder, form, &mut out))
        }
        Verb::Dump(asked) => {
            let (given, asked) = asked.split();
            open(given, sections).and_then(|(_, folder)| dump::run(&folder, &asked, &mut out))
        }
    };
    match answered.and_then(|good| Ok(out.flush().map(|()| good)?)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DAMAGED),
        Err(Failed::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failed::Output(error)) => {
            complain(&one_line(error));
            ExitCode::from(UNUSABLE)
        }
        Err(Failed::Unusable(line)) => {
            complain(&line);
            ExitCode::from(UNUSABLE)
        }
    }
}

/// The data folder that the configuration names, with its lock.
fn open(given: Given, sections: &[Section]) -> Result<(String, Folder), Failed> {
    let (loaded, _) = given.load(sections).map_err(|error| Failed::Unusable(one_line(error)))?;
    let path: &Path = &loaded.config.data;
    let name = path.display().to_string();
    let unusable = |why: String| Failed::Unusable(format!("data folder {name}: {why}"));
    let files = RealFs::read_only(path).map_err(|error| {
        unusable(if error.kind() == io::ErrorKind::NotFound {
            "there is no such folder; name the server's with --data or --config".to_owned()
        } else {
            error.to_string()
        })
    })?;
    let folder = Folder::open(Arc::new(files)).map_err(|error| unusable(one_line(error)))?;
    Ok((name, folder))
}

fn verify(name: &str, folder: &Folder, form: Form, out: &mut impl Write) -> Result<bool, Failed> {
    let verdict = folder.verify()?;
    let good = verdict.damages.is_empty();
    match form.output {
        Output::Json => writeln!(out, "{:#}", verdict_json(&verdict))?,
        Output::Text => {
            for damage in &verdict.damages {
                writeln!(out, "{damage}. {}", damage.part.advice())?;
            }
            let Verdict { segments, groups, tables, units, bytes, .. } = &verdict;
            writeln!(
                out,
                "{name}: {}; {segments} segments with {groups} groups (proven up to group {}), \
                 {units} resting files, {tables} state tables, {bytes} bytes read",
                if good { "good" } else { "DAMAGED" },
                verdict.durable_lsn,
            )?;
            for file in &verdict.leftovers {
                writeln!(out, "not looked at, because no start needs it: {file}")?;
            }
        }
    }
    Ok(good)
}

fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "good": verdict.damages.is_empty(),
        "damages": damages_json(&verdict.damages),
        "segments": verdict.segments,
        "groups": verdict.groups,
        "durable_lsn": verdict.durable_lsn,
        "last_lsn": verdict.last_lsn,
        "resting_files": verdict.units,
        "state_tables": verdict.tables,
        "bytes_read": verdict.bytes,
        "leftovers": verdict.leftovers,
    })
}

pub(super) fn damages_json(damages: &[Damage]) -> Vec<Value> {
    let object = |damage: &Damage| {
        json!({
            "file": damage.file,
            "position": damage.position,
            "reason": damage.reason,
            "advice": damage.part.advice(),
        })
    };
    damages.iter().map(object).collect()
}

/// Whose the logs are, as far as the catalogue knows.
pub(super) fn owners(contents: &Contents) -> BTreeMap<LogId, LogOwner> {
    log_owners(contents.rows(broker::CATALOGUE, b"", usize::MAX))
}

/// The name of a log's owner, with its partition.
pub(super) fn owner_text(owner: Option<&LogOwner>) -> String {
    match owner {
        Some(LogOwner::Stream(name, partition)) => format!("{}/{partition}", text(name)),
        Some(LogOwner::Queue(name)) => format!("queue:{}", text(name)),
        None => "-".to_owned(),
    }
}

/// Adds whose a log is to an object.
pub(super) fn put_owner(object: &mut Map<String, Value>, owner: Option<&LogOwner>) {
    match owner {
        Some(LogOwner::Stream(name, partition)) => {
            object.insert("stream".to_owned(), json!(String::from_utf8_lossy(name)));
            object.insert("partition".to_owned(), json!(partition));
        }
        Some(LogOwner::Queue(name)) => {
            object.insert("queue".to_owned(), json!(String::from_utf8_lossy(name)));
        }
        None => {}
    }
}

/// Bytes for people: text where they are printable, else hexadecimal digits behind `0x`.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        Ok(_) | Err(_) => format!("0x{}", hex(bytes)),
    }
}

/// Adds bytes to an object: under their name as text, or under `<name>_hex` where they are none.
pub(super) fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&Bytes>) {
    let (name, value) = match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (name.to_owned(), Value::Null),
        Some((_, Ok(text))) => (name.to_owned(), json!(text)),
        Some((bytes, Err(_))) => (format!("{name}_hex"), json!(hex(bytes))),
    };
    object.insert(name, value);
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time in milliseconds since 1970, as RFC 3339 has it.
pub(super) fn time(ms: i64) -> String {
    let days = ms.div_euclid(86_400_000);
    let rest = ms.rem_euclid(86_400_000);
    // Days since 0000-03-01, in eras of 400 years; a year begins in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(time(ms), text);
        }
    }

    #[test]
    fn bytes_that_cannot_be_shown_are_digits() {
        assert_eq!(text("grün".as_bytes()), "grün");
        assert_eq!(text(b"a\n"), "0x610a");
        assert_eq!(text(&[0xff, 0]), "0xff00");
    }
}
