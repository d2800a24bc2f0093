//! `make run`: the whole system in one process, on loopback, without AWS, Docker or a key.

#![allow(clippy::print_stdout)] // what it serves is this program's output

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use ojs_api::cors::Origins;
use ojs_core::Settings;
use ojs_core::settings::SettingsError;
use ojs_local::{Chaos, STATS_MAX_JOBS, Stack, StackOptions, StartError};
use ojs_telemetry::{Exporter, Telemetry};

/// `make run OTLP=1` builds with the exporter of traces. Without it a cold build is shorter.
#[cfg(feature = "otlp")]
const EXPORTER: Option<Exporter> = Some(ojs_otlp::exporter);
#[cfg(not(feature = "otlp"))]
const EXPORTER: Option<Exporter> = None;

/// The local stack of ojs-serverless: DynamoDB, SQS and the OJS API in one process.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Port of the API on 127.0.0.1; 0 picks a free one
    #[arg(long, env = "OJS_PORT", default_value_t = 8080)]
    port: u16,
    /// Port of DynamoDB on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    dynamodb_port: u16,
    /// Port of SQS on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    sqs_port: u16,
    /// Database file, to keep jobs between runs; in memory without it
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Do not tick: the scheduler and cron functions are invoked by hand instead
    #[arg(long)]
    no_ticks: bool,
    /// Misbehave as AWS may. `soft`, the default without a value: SQS duplicates and reorders deliveries and answers
    /// short polls empty. `hard`: both also throttle, lose answers and are slow, batches fail in part, counts and
    /// indexes lag, and transactions conflict
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "soft")]
    chaos: Option<Chaos>,
    /// Seed of what --chaos decides; a random one, which is printed, without it
    #[arg(long, value_name = "N", requires = "chaos")]
    chaos_seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let ended = match Telemetry::start("local", EXPORTER) {
        Ok(telemetry) => {
            let ended = run(args, telemetry.clone()).await;
            telemetry.stop();
            ended
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the local stack stops");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args, telemetry: Telemetry) -> Result<(), Box<dyn std::error::Error>> {
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let chaos = args.chaos.map(|chaos| (chaos, args.chaos_seed.unwrap_or_else(any_seed)));
    let (faults, dynamodb_faults) = chaos.map(|(chaos, seed)| chaos.faults(seed)).unwrap_or_default();
    let options = StackOptions {
        api_addr: loopback(args.port),
        dynamodb_addr: loopback(args.dynamodb_port),
        sqs_addr: loopback(args.sqs_port),
        db: args.db.clone(),
        settings: settings()?,
        cors_origins: Origins::from_lookup(|name| std::env::var(name).ok())?,
        telemetry,
        ticks: !args.no_ticks,
        faults,
        dynamodb_faults,
    };
    let table = options.settings.table.clone();
    let stack = Stack::start(options).await.map_err(|error| explain(error, args.port))?;
    announce(&stack, &args, &table);
    if let Some((chaos, seed)) = chaos {
        println!("chaos: {chaos:?}, seed {seed} (--chaos-seed={seed} decides the same)");
    }
    stopped().await?;
    println!("stopping");
    stack.shutdown().await;
    Ok(())
}

fn any_seed() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since_epoch.subsec_nanos().into()
}

fn explain(error: StartError, port: u16) -> String {
    match error {
        StartError::Listen { .. } if port != 0 => format!("{error}; choose another port with --port or OJS_PORT"),
        other => other.to_string(),
    }
}

fn announce(stack: &Stack, args: &Args, table: &str) {
    let url = stack.url();
    let kept = args.db.as_ref().map_or_else(|| "in memory".to_owned(), |db| format!("in {}", db.display()));
    println!(
        "ojs-serverless, local stack (loopback only, no API key)\n\
         \x20 OJS API    {url}/ojs/v1   (POST {url}/ojs/v1/admin/reset empties everything)\n\
         \x20 DynamoDB   {}   table {table}, {kept}\n\
         \x20 SQS        {}\n\
         Try:\n\
         \x20 curl -s {url}/ojs/v1/jobs -H 'Content-Type: application/json' -d '{{\"type\":\"email.send\",\"args\":[\"hi\"]}}'\n\
         \x20 curl -s {url}/ojs/v1/workers/fetch -H 'Content-Type: application/json' -d '{{\"queues\":[\"default\"]}}'",
        stack.aws().dynamodb.url(),
        stack.aws().sqs.url(),
    );
}

/// Ends on SIGINT or SIGTERM.
async fn stopped() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt,
        _ = terminate.recv() => Ok(()),
    }
}

/// The environment's, with the defaults of this stack.
fn settings() -> Result<Settings, SettingsError> {
    Settings::from_lookup(|name| {
        let set = std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        set.or_else(|| match name {
            "OJS_STATS_MAX_JOBS" => Some(STATS_MAX_JOBS.to_string()),
            "OJS_TEST_DIRECTIVES" => Some("true".to_owned()),
            _ => None,
        })
    })
}
