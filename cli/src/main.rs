//! The command line.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    sluice::main(std::env::args_os()).await
}
