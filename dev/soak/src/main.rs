//! `make soak`: runs the API against emulators that survive it, kills it at random under load, and at the end checks the
//! invariants I1 to I7 against the history of all requests and answers.

#![allow(clippy::print_stdout)] // the verdict is this program's output

mod check;
mod drain;
mod ghosts;
mod history;
mod http;
mod load;
mod probe;
mod programs;
mod report;
mod run;
mod stage;
mod table;
mod time;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Kills the API at random under load, then checks that nothing was lost, done twice or left over.
#[derive(Debug, Clone, Parser)]
#[command(version)]
struct Args {
    /// How long clients and kills go on, s. Then everything has time to finish
    #[arg(long, env = "SOAK_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How AWS behaves: well, as on bad days (--chaos=hard of the local stack), or both at the same time in two stacks
    #[arg(long, env = "SOAK_MODE", value_enum, default_value = "both")]
    mode: ModeArg,
    /// Seed of what is sent, killed and injected; a random one without it
    #[arg(long, env = "SOAK_SEED")]
    seed: Option<u64>,
    /// FIFO queues
    #[arg(long)]
    fifo: bool,
    /// Mean time between two kills of the API, ms; 0 for none
    #[arg(long, default_value_t = 4_000)]
    kill_every_ms: u64,
    /// How long everything may take to finish at the end, s. What a killed request leaves undecided takes over a minute
    #[arg(long, default_value_t = 180)]
    patience: u64,
    /// Where the histories go
    #[arg(long, default_value = "target/soak")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeArg {
    Plain,
    Hard,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    Hard,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Hard => "hard",
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // reqwest asks for TLS even where all URLs are http.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let modes = match args.mode {
        ModeArg::Plain => vec![Mode::Plain],
        ModeArg::Hard => vec![Mode::Hard],
        ModeArg::Both => vec![Mode::Plain, Mode::Hard],
    };
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("soak: {} s, seed {seed} (SOAK_SEED={seed} sends and injects the same)", args.seconds);
    let runs: Vec<_> = modes.into_iter().map(|mode| (mode, tokio::spawn(run::run(args.clone(), mode, seed)))).collect();
    let (mut passed, mut failed) = (0, 0);
    for (mode, run) in runs {
        let clean = match run.await {
            Ok(Ok(report)) => {
                println!("{report}");
                report.is_clean()
            }
            Ok(Err(error)) => {
                println!("soak {}: could not run: {error}", mode.name());
                false
            }
            Err(error) => {
                println!("soak {}: {error}", mode.name());
                false
            }
        };
        if clean {
            passed += 1;
        } else {
            failed += 1;
        }
    }
    println!("soak: {} (seed {seed})", if failed == 0 { "clean" } else { "VIOLATIONS" });
    // What tools/ci_counts.py adds up.
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
