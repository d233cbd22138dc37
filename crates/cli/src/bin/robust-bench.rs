//! The load generator: see [`cli::bench`].

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use cli::bench::{Options, run};

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => {
            let text = if options.json { report.to_json() } else { report.to_text() };
            // Nobody reads on: nothing is left to be done about it.
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "robust-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
