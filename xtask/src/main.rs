//! Checks and generators of the repository, run as `cargo xtask <command>`.
//!
//! Rules that stand only in a document decay; the ones that matter run here and in CI.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks")]

mod kafka_messages;
mod layers;
mod proof;
mod scan;
mod sources;
mod tidy;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  ci-static       tidy: arrows between crates, module docs, file sizes, names, words, what the
                  page about the proof of the storage engine names
  kafka-messages  write the messages of kafka-codec from Kafka's definitions
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    match command.as_deref() {
        Some("ci-static") => report(&tidy::findings(&root())),
        Some("kafka-messages") => match kafka_messages::write(&root()) {
            Ok(count) => {
                println!("{count} files written");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// The repository: the folder above this package.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in a folder of the repository")
        .to_path_buf()
}

fn report(findings: &[String]) -> ExitCode {
    for finding in findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: nothing found");
        ExitCode::SUCCESS
    } else {
        println!("tidy: {} found", findings.len());
        ExitCode::FAILURE
    }
}
