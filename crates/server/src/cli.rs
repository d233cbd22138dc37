//! The command line: what is asked, and the answer on standard output.

mod dump;
mod inspect;
mod storage;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use model::fields::FIELD_MAP;
use serde_json::{Value, json};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{self, Checked, Invalid, Loaded, Section, Sources};
use crate::protocols;
use crate::start::{self, VERSION};

/// The message engine: one stored copy, read and written through any of its protocols.
#[derive(Debug, Parser)]
#[command(name = "robust-server", version = VERSION, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start the server.
    Start(Given),
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Look at a data folder while no server uses it; nothing in it is changed.
    #[command(subcommand)]
    Storage(storage::Verb),
    /// Print how the parts of a message are called in each protocol.
    FieldMap {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the version.
    Version,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Say what is wrong with the configuration, if anything.
    Check(Given),
    /// Print the effective configuration and where its values are from.
    Show(Given),
    /// Print the reference page.
    #[command(hide = true)]
    Reference,
}

#[derive(Debug, Args)]
struct Given {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// One value, over file and environment: --set mqtt.listen=127.0.0.1:1884
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl Given {
    fn load(self, sections: &[Section]) -> Result<(Loaded, Checked), Invalid> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let sources = Sources { file: self.config, data: self.data, set: self.set, environment };
        let loaded = config::load(&sources, sections)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let checked = loaded.check(sections, cores)?;
        Ok((loaded, checked))
    }
}

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    let began = Instant::now();
    let sections = protocols::sections(&protocols::all());
    let outcome = match Command::parse().verb {
        Verb::Storage(verb) => return storage::run(verb, &sections),
        Verb::Start(given) => started(given, &sections, began),
        Verb::Config(ConfigVerb::Check(given)) => checked(given, &sections),
        Verb::Config(ConfigVerb::Show(given)) => {
            given.load(&sections).map_err(one_line).and_then(|(loaded, _)| {
                for warning in &loaded.warnings {
                    complain(warning);
                }
                print(config::show(&loaded, &sections).trim_start())
            })
        }
        Verb::Config(ConfigVerb::Reference) => print(&config::reference(&sections)),
        Verb::FieldMap { json: true } => print(&field_map_json()),
        Verb::FieldMap { json: false } => print(&field_map_text()),
        Verb::Version => print(&format!("robust-server {VERSION}\n")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            complain(&line);
            ExitCode::FAILURE
        }
    }
}

fn started(given: Given, sections: &[Section], began: Instant) -> Result<(), String> {
    let (loaded, checked) = given.load(sections).map_err(one_line)?;
    log_to_stderr(checked.log.clone());
    start::run(&loaded, checked, began).map_err(one_line)
}

fn checked(given: Given, sections: &[Section]) -> Result<(), String> {
    let (loaded, _) = given.load(sections).map_err(one_line)?;
    for warning in &loaded.warnings {
        complain(warning);
    }
    print("the configuration is good\n")
}

fn one_line(error: impl std::fmt::Display) -> String {
    error.to_string().replace('\n', " ")
}

fn complain(line: &str) {
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(io::stderr(), "robust-server: {line}");
}

fn print(text: &str) -> Result<(), String> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(one_line(error)),
        _ => Ok(()),
    }
}

fn log_to_stderr(filter: Targets) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
}

fn field_map_json() -> String {
    let rows = FIELD_MAP.iter().map(|row| {
        let mut object = serde_json::Map::new();
        object.insert("field".to_owned(), json!(format!("{:?}", row.field)));
        for (protocol, carrier) in protocols::carriers(row) {
            let value = json!({
                "name": carrier.name,
                "header": carrier.header,
                "reads": carrier.reads,
                "rule": carrier.rule,
            });
            object.insert(protocol.to_owned(), value);
        }
        Value::Object(object)
    });
    format!("{:#}\n", Value::Array(rows.collect()))
}

fn field_map_text() -> String {
    let mut text = String::new();
    for row in FIELD_MAP {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:?}", row.field);
        for (protocol, carrier) in protocols::carriers(row) {
            let kind = match (carrier.name, carrier.header) {
                ("", _) => "not carried",
                (_, true) => "header",
                (_, false) => "part",
            };
            let _ =
                writeln!(text, "  {protocol:<6} {kind:<11} {:<24} {}", carrier.name, carrier.rule);
        }
    }
    text
}
