//! Cost and speed benchmarks: what each operation takes of AWS, and how long it takes here.
#![allow(clippy::print_stdout, reason = "the tables are what this program is for")]

mod args;
mod audit;
mod budget;
mod clock;
mod cost;
mod depth;
mod fanout;
mod handles;
mod item_size;
mod lab;
mod machine;
mod prices;
mod process;
mod report;
mod speed;
mod stage;
mod ticks;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Part};

/// Whatever went wrong; the benchmark ends and says it.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Outcome<T> = Result<T, Failure>;

#[tokio::main]
async fn main() -> ExitCode {
    // reqwest asks for TLS even where all URLs are http.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("ojs-bench: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Answers whether everything kept its budget.
async fn run(args: &Args) -> Outcome<bool> {
    Ok(match args.part.unwrap_or(Part::All) {
        Part::Cost => cost::run(args).await?,
        Part::Speed => speed::run(args).await?,
        Part::Ticks => ticks::run(args).await?,
        Part::Fanout => fanout::run(args).await?,
        Part::Audit => audit::run(args).await?,
        Part::All => {
            let cost = cost::run(args).await?;
            let speed = speed::run(args).await?;
            let fanout = fanout::run(args).await?;
            ticks::run(args).await? && speed && cost && fanout
        }
    })
}
