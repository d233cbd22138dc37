//! `robust-server storage dump`: records of logs in the order of their offsets, or rows.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;

use broker::LogOwner;
use clap::Args;
use serde_json::{Map, Value, json};
use storage::batch::{self, BatchHeader, RecordView};
use storage::{LogId, StoredBatch};
use storage_journal::audit::{Contents, Folder};

use super::storage::{Failed, Form, Output, owner_text, owners, put_bytes, put_owner, text, time};
use super::{Given, complain};

/// Rows that are fetched at a time.
const PAGE_ROWS: usize = 1_000;
/// What is no table of the state and is printed like one.
const CURSORS: &str = "cursors";
const REFERENCES: &str = "references";

#[derive(Debug, Args)]
pub(super) struct Asked {
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    what: What,
}

#[derive(Debug, Args)]
pub(super) struct What {
    #[command(flatten)]
    form: Form,
    /// Only this log: its number, a stream, a partition as stream/0, or a queue.
    #[arg(long, value_name = "LOG")]
    log: Option<String>,
    /// Records from this offset on.
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// At most so many records or rows.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Print the values too.
    #[arg(long)]
    values: bool,
    /// Print the rows of a table of the state instead, or cursors, or references (of queues);
    /// inspect names the tables.
    #[arg(long, value_name = "TABLE", conflicts_with_all = ["from", "values"])]
    table: Option<String>,
}

impl Asked {
    pub(super) fn split(self) -> (Given, What) {
        (self.given, self.what)
    }
}

pub(super) fn run(folder: &Folder, asked: &What, out: &mut impl Write) -> Result<bool, Failed> {
    let contents = folder.contents()?;
    for damage in contents.damages() {
        complain(&format!("{damage}; what is printed ends before it"));
    }
    let owners = owners(&contents);
    let logs = chosen(&contents, &owners, asked.log.as_deref())?;
    let left = asked.limit.unwrap_or(u64::MAX);
    let mut dump = Dump { asked, owners, left, good: contents.damages().is_empty(), out };
    match asked.table.as_deref() {
        None => dump.records(&contents, &logs)?,
        Some(CURSORS) => dump.cursors(&contents, &logs)?,
        Some(REFERENCES) => dump.references(&contents, &logs)?,
        Some(table) => dump.rows(&contents, table)?,
    }
    Ok(dump.good)
}

/// The logs that are asked for.
fn chosen(
    contents: &Contents,
    owners: &BTreeMap<LogId, LogOwner>,
    log: Option<&str>,
) -> Result<Vec<LogId>, Failed> {
    let all: Vec<LogId> = contents.logs().iter().map(|log| log.log).collect();
    let Some(asked) = log else { return Ok(all) };
    let number = asked.parse::<u64>().ok().map(LogId);
    let is = |log: &LogId| {
        let named = owners.get(log).is_some_and(|owner| match owner {
            LogOwner::Stream(name, partition) => {
                text(name) == asked || format!("{}/{partition}", text(name)) == asked
            }
            LogOwner::Queue(name) => text(name) == asked,
        });
        named || number == Some(*log)
    };
    let found: Vec<LogId> = all.into_iter().filter(is).collect();
    if found.is_empty() {
        let line = format!("no log {asked:?}; storage inspect lists them with their numbers");
        return Err(Failed::Unusable(line));
    }
    Ok(found)
}

struct Dump<'a, W> {
    asked: &'a What,
    owners: BTreeMap<LogId, LogOwner>,
    /// How much may still be printed.
    left: u64,
    /// Nothing damaged was met.
    good: bool,
    out: &'a mut W,
}

impl<W: Write> Dump<'_, W> {
    fn records(&mut self, contents: &Contents, logs: &[LogId]) -> Result<(), Failed> {
        let first: BTreeMap<_, _> =
            contents.logs().iter().map(|log| (log.log, log.bounds.first)).collect();
        for log in logs {
            let from = self.asked.from.max(first.get(log).copied().unwrap_or_default());
            let mut failed = None;
            let mut take = |batch: &StoredBatch| match self.batch(*log, from, batch) {
                Ok(()) if self.left > 0 => ControlFlow::Continue(()),
                Ok(()) => ControlFlow::Break(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            };
            let read = contents.read(*log, from, &mut take);
            if let Some(error) = failed {
                return Err(error.into());
            }
            if let Err(error) = read {
                self.good = false;
                complain(&format!("the rest of log {}: {error}", log.0));
            }
        }
        Ok(())
    }

    fn batch(&mut self, log: LogId, from: u64, batch: &StoredBatch) -> io::Result<()> {
        if BatchHeader::decode(&batch.bytes).is_ok_and(|header| header.is_control()) {
            return Ok(());
        }
        let records = match batch::records(&batch.bytes) {
            Ok(records) => records,
            Err(error) => {
                self.good = false;
                complain(&format!("log {} at {}: {error}", log.0, batch.base));
                return Ok(());
            }
        };
        for record in records.iter().filter(|record| record.offset >= from) {
            if self.left == 0 {
                return Ok(());
            }
            self.left -= 1;
            let index = usize::try_from(record.offset - batch.base).unwrap_or(usize::MAX);
            let subject = batch.subjects.of(index).map(ToString::to_string).unwrap_or_default();
            match self.asked.form.output {
                Output::Text => self.record_text(log, &subject, record)?,
                Output::Json => self.record_json(log, &subject, record)?,
            }
        }
        Ok(())
    }

    fn record_text(&mut self, log: LogId, subject: &str, record: &RecordView) -> io::Result<()> {
        let key = record.key.as_ref().map_or("-".to_owned(), |key| text(key));
        let size = record.value.as_ref().map_or("null".to_owned(), |value| value.len().to_string());
        let owner = owner_text(self.owners.get(&log));
        let (offset, time) = (record.offset, time(record.timestamp_ms));
        let subject = text(subject.as_bytes());
        write!(self.out, "{} {owner} {offset} {time} {subject} {key} {size}", log.0)?;
        match &record.value {
            Some(value) if self.asked.values => writeln!(self.out, " {}", text(value)),
            Some(_) | None => writeln!(self.out),
        }
    }

    fn record_json(&mut self, log: LogId, subject: &str, record: &RecordView) -> io::Result<()> {
        let mut object = Map::new();
        object.insert("log".to_owned(), json!(log.0));
        put_owner(&mut object, self.owners.get(&log));
        object.insert("offset".to_owned(), json!(record.offset));
        object.insert("timestamp_ms".to_owned(), json!(record.timestamp_ms));
        object.insert("subject".to_owned(), json!(subject));
        put_bytes(&mut object, "key", record.key.as_ref());
        object.insert("size".to_owned(), json!(record.value.as_ref().map(|value| value.len())));
        if self.asked.values {
            put_bytes(&mut object, "value", record.value.as_ref());
        }
        writeln!(self.out, "{}", Value::Object(object))
    }

    fn rows(&mut self, contents: &Contents, table: &str) -> Result<(), Failed> {
        let tables = contents.tables();
        if !tables.iter().any(|(name, _)| name == table) {
            let names: Vec<_> = tables.iter().map(|(name, _)| name.as_str()).collect();
            let known = names.join(", ");
            let line = format!("no table {table:?}; there are {known}, {CURSORS} and {REFERENCES}");
            return Err(Failed::Unusable(line));
        }
        let mut from = Vec::new();
        loop {
            let page = contents.rows(table, &from, PAGE_ROWS);
            let Some((last, _)) = page.last() else { return Ok(()) };
            // The key that comes right behind the last one.
            from = [last.as_ref(), &[0]].concat();
            for (key, value) in &page {
                if self.left == 0 {
                    return Ok(());
                }
                self.left -= 1;
                match self.asked.form.output {
                    Output::Text => writeln!(self.out, "{table} {} {}", text(key), text(value))?,
                    Output::Json => {
                        let mut object = Map::new();
                        object.insert("table".to_owned(), json!(table));
                        put_bytes(&mut object, "key", Some(key));
                        put_bytes(&mut object, "value", Some(value));
                        writeln!(self.out, "{}", Value::Object(object))?;
                    }
                }
            }
        }
    }

    fn cursors(&mut self, contents: &Contents, logs: &[LogId]) -> Result<(), Failed> {
        let all = contents.cursors(b"", usize::MAX);
        for (name, log, state) in all.iter().filter(|(_, log, _)| logs.contains(log)) {
            if self.left == 0 {
                return Ok(());
            }
            self.left -= 1;
            let done: Vec<_> = state.done.iter().map(|range| [range.start, range.end]).collect();
            let in_flight = state.pending.len();
            match self.asked.form.output {
                Output::Text => writeln!(
                    self.out,
                    "{} {} {} floor {} done {done:?} in flight {in_flight}",
                    log.0,
                    owner_text(self.owners.get(log)),
                    text(name),
                    state.floor
                )?,
                Output::Json => {
                    let mut object = Map::new();
                    object.insert("log".to_owned(), json!(log.0));
                    put_owner(&mut object, self.owners.get(log));
                    put_bytes(&mut object, "cursor", Some(name));
                    object.insert("floor".to_owned(), json!(state.floor));
                    object.insert("done".to_owned(), json!(done));
                    object.insert("in_flight".to_owned(), json!(in_flight));
                    writeln!(self.out, "{}", Value::Object(object))?;
                }
            }
        }
        Ok(())
    }

    fn references(&mut self, contents: &Contents, logs: &[LogId]) -> Result<(), Failed> {
        for queue in logs {
            let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
            for held in contents.references(*queue, 0, wanted) {
                self.left -= 1;
                let owner = self.owners.get(queue);
                match self.asked.form.output {
                    Output::Text => writeln!(
                        self.out,
                        "{} {} place {} log {} offset {} priority {} deliveries {}",
                        queue.0,
                        owner_text(owner),
                        held.place,
                        held.log.0,
                        held.offset,
                        held.priority,
                        held.deliveries
                    )?,
                    Output::Json => {
                        let mut object = Map::new();
                        object.insert("queue_log".to_owned(), json!(queue.0));
                        put_owner(&mut object, owner);
                        object.insert("place".to_owned(), json!(held.place));
                        object.insert("log".to_owned(), json!(held.log.0));
                        object.insert("offset".to_owned(), json!(held.offset));
                        object.insert("priority".to_owned(), json!(held.priority));
                        object.insert("deliveries".to_owned(), json!(held.deliveries));
                        writeln!(self.out, "{}", Value::Object(object))?;
                    }
                }
            }
        }
        Ok(())
    }
}
