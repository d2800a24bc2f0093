//! Command line of the conformance runner.

use std::process::ExitCode;

use clap::Parser;
use ojs_conformance::args::Args;

/// Exit code of a run that could not take place, distinct from "a case failed".
const NOT_RUN: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match ojs_conformance::execute(&args, &mut std::io::stdout()).await {
        Ok(summary) if summary.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ojs-conformance: {error}");
            ExitCode::from(NOT_RUN)
        }
    }
}
