//! `make run`: the whole system in one process, on loopback, without AWS, Docker or a key.

#![allow(clippy::print_stdout)] // what it serves is this program's output

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ojs_api::cors::Origins;
use ojs_core::Settings;
use ojs_core::settings::SettingsError;
use ojs_emulators::SqsFaults;
use ojs_local::{STATS_MAX_JOBS, Stack, StackOptions, StartError};
use ojs_telemetry::Telemetry;

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
    /// Misbehave as SQS may: duplicate and reorder deliveries, answer short polls empty
    #[arg(long)]
    chaos: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let ended = match Telemetry::start("local") {
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
    let options = StackOptions {
        api_addr: loopback(args.port),
        dynamodb_addr: loopback(args.dynamodb_port),
        sqs_addr: loopback(args.sqs_port),
        db: args.db.clone(),
        settings: settings()?,
        cors_origins: Origins::from_lookup(|name| std::env::var(name).ok())?,
        telemetry,
        ticks: !args.no_ticks,
        faults: if args.chaos { chaos() } else { SqsFaults::default() },
    };
    let table = options.settings.table.clone();
    let stack = Stack::start(options).await.map_err(|error| explain(error, args.port))?;
    announce(&stack, &args, &table);
    stopped().await?;
    println!("stopping");
    stack.shutdown().await;
    Ok(())
}

fn chaos() -> SqsFaults {
    SqsFaults { duplicate_delivery: 0.1, reorder: 0.2, empty_short_poll: 0.2, ..SqsFaults::default() }
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
