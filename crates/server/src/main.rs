//! The program `robust-server`.

use std::process::ExitCode;

fn main() -> ExitCode {
    storage_journal::heap::give_back_large_blocks();
    server::cli::run()
}
