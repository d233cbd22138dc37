//! `robust-server storage inspect`: what is in a data folder.

use std::collections::BTreeMap;
use std::io::Write;

use broker::LogOwner;
use serde_json::{Map, Value, json};
use storage::LogId;
use storage_journal::audit::{Folder, Inventory, LogSummary, UnitSummary};

use super::complain;
use super::storage::{
    Failed, Form, Output, damages_json, hex, owner_text, owners, put_owner, time,
};

pub(super) fn run(folder: &Folder, form: Form, out: &mut impl Write) -> Result<bool, Failed> {
    let inventory = folder.inspect()?;
    let owners = folder.contents().map(|contents| owners(&contents)).unwrap_or_default();
    match form.output {
        Output::Json => writeln!(out, "{:#}", as_json(&inventory, &owners))?,
        Output::Text => as_text(&inventory, &owners, out)?,
    }
    for damage in &inventory.damages {
        complain(&format!("{damage}. {}", damage.part.advice()));
    }
    Ok(inventory.damages.is_empty())
}

fn as_json(inventory: &Inventory, owners: &BTreeMap<LogId, LogOwner>) -> Value {
    let segments = inventory.segments.iter().map(|segment| {
        json!({
            "file": segment.file,
            "sequence": segment.sequence,
            "first_lsn": segment.first_lsn,
            "groups": segment.groups,
            "end": segment.end,
            "file_bytes": segment.file_bytes,
            "begun_ms": segment.wall_ms,
        })
    });
    let manifest = inventory.manifest.as_ref().map(|manifest| {
        json!({
            "folder": hex(&manifest.folder),
            "boot": manifest.boot,
            "checkpoint_lsn": manifest.lsn,
            "oldest_segment": manifest.wal_oldest,
        })
    });
    let tables = inventory
        .tables
        .iter()
        .map(|table| json!({ "file": table.file, "bytes": table.bytes, "rows": table.entries }));
    let units = inventory.units.iter().map(|unit| {
        json!({
            "files": unit.files,
            "kind": kind(unit),
            "bytes": unit.bytes,
            "logs": unit.logs,
            "records": unit.records,
            "dead_records": unit.dead,
        })
    });
    let pool = inventory.pool.iter();
    let rows: Map<String, Value> =
        inventory.rows.iter().map(|(name, count)| (name.clone(), json!(count))).collect();
    json!({
        "segments": segments.collect::<Vec<_>>(),
        "durable_lsn": inventory.durable_lsn,
        "last_lsn": inventory.last_lsn,
        "pool": pool.map(|(file, bytes)| json!({ "file": file, "bytes": bytes })).collect::<Vec<_>>(),
        "manifest": manifest,
        "state_tables": tables.collect::<Vec<_>>(),
        "resting_files": units.collect::<Vec<_>>(),
        "logs": inventory.logs.iter().map(|log| log_json(log, owners)).collect::<Vec<_>>(),
        "tables": rows,
        "leftovers": inventory.leftovers,
        "damages": damages_json(&inventory.damages),
    })
}

fn log_json(log: &LogSummary, owners: &BTreeMap<LogId, LogOwner>) -> Value {
    let mut object = Map::new();
    object.insert("log".to_owned(), json!(log.log.0));
    put_owner(&mut object, owners.get(&log.log));
    object.insert("mode".to_owned(), json!(mode(log)));
    object.insert("first".to_owned(), json!(log.bounds.first));
    object.insert("end".to_owned(), json!(log.bounds.end));
    object.insert("records".to_owned(), json!(log.bounds.records));
    object.insert("bytes".to_owned(), json!(log.bounds.bytes));
    object.insert("held_bytes".to_owned(), json!(log.bounds.held_bytes));
    object.insert("leader_epoch".to_owned(), json!(log.epoch));
    object.insert("runs".to_owned(), json!(log.runs));
    Value::Object(object)
}

fn mode(log: &LogSummary) -> String {
    format!("{:?}", log.mode).to_lowercase()
}

fn kind(unit: &UnitSummary) -> &'static str {
    if unit.hot { "segment file" } else { "pack" }
}

fn as_text(
    inventory: &Inventory,
    owners: &BTreeMap<LogId, LogOwner>,
    out: &mut impl Write,
) -> Result<(), Failed> {
    writeln!(
        out,
        "segments: proven up to group {}, last group {}",
        inventory.durable_lsn, inventory.last_lsn
    )?;
    for segment in &inventory.segments {
        writeln!(
            out,
            "  {}  groups {}..{}  {} of {} bytes  begun {}",
            segment.file,
            segment.first_lsn,
            segment.first_lsn + segment.groups,
            segment.end,
            segment.file_bytes,
            time(segment.wall_ms)
        )?;
    }
    let free: u64 = inventory.pool.iter().map(|(_, bytes)| bytes).sum();
    writeln!(out, "pool: {} free segments, {free} bytes", inventory.pool.len())?;
    match &inventory.manifest {
        None => writeln!(out, "manifest: none, nothing rests yet")?,
        Some(manifest) => writeln!(
            out,
            "manifest: folder {}, boot {}, checkpoint at group {}, segments from {}",
            hex(&manifest.folder),
            manifest.boot,
            manifest.lsn,
            manifest.wal_oldest
        )?,
    }
    writeln!(out, "state tables: {}", inventory.tables.len())?;
    for table in &inventory.tables {
        let rows = table.entries.map_or("unreadable".to_owned(), |rows| format!("{rows} rows"));
        writeln!(out, "  {}  {} bytes  {rows}", table.file, table.bytes)?;
    }
    writeln!(out, "resting files: {}", inventory.units.len())?;
    for unit in &inventory.units {
        writeln!(
            out,
            "  {}  {}  {} bytes  {} logs  {} records, {} of them dead",
            unit.files.join(" + "),
            kind(unit),
            unit.bytes,
            unit.logs,
            unit.records,
            unit.dead
        )?;
    }
    logs_as_text(inventory, owners, out)
}

fn logs_as_text(
    inventory: &Inventory,
    owners: &BTreeMap<LogId, LogOwner>,
    out: &mut impl Write,
) -> Result<(), Failed> {
    writeln!(out, "logs: {}", inventory.logs.len())?;
    for log in &inventory.logs {
        writeln!(
            out,
            "  {}  {}  {}  {}..{}  {} records  {} bytes  {} bytes held  {} runs",
            log.log.0,
            owner_text(owners.get(&log.log)),
            mode(log),
            log.bounds.first,
            log.bounds.end,
            log.bounds.records,
            log.bounds.bytes,
            log.bounds.held_bytes,
            log.runs
        )?;
    }
    writeln!(out, "tables: {}", inventory.rows.len())?;
    for (name, rows) in &inventory.rows {
        writeln!(out, "  {name}  {rows} rows")?;
    }
    for file in &inventory.leftovers {
        writeln!(out, "left over, no start needs it: {file}")?;
    }
    Ok(())
}
