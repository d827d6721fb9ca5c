//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    sluice::main(&std::env::args_os().collect::<Vec<_>>())
}
