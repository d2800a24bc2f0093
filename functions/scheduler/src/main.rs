//! The scheduler function: on each EventBridge tick it sends the messages of jobs that come due soon. Outside Lambda it
//! runs one tick and ends, for a system's own cron.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use ojs_core::aws::{Clients, ConnectOptions};
use ojs_core::{Engine, Settings, SystemClock, telemetry};
use serde_json::{Value, json};

/// Kept free at the end of an invocation, so that a call under way can end.
const MARGIN: Duration = Duration::from_secs(3);
/// Time for a tick outside Lambda: EventBridge's period.
const PERIOD: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the scheduler stops");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let settings = Settings::from_env()?;
    let clients = Clients::connect(&settings, ConnectOptions::default()).await;
    let engine = &Engine::new(clients, settings, Arc::new(SystemClock));
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return tick(engine, PERIOD).await.map(|_| ());
    }
    // The event says when the tick was meant; what is due is asked of the table and the clock.
    let handler = async |event: LambdaEvent<Value>| {
        let end = SystemTime::UNIX_EPOCH + Duration::from_millis(event.context.deadline);
        let left = end.duration_since(SystemTime::now()).unwrap_or_default();
        tick(engine, left.saturating_sub(MARGIN)).await
    };
    lambda_runtime::run(service_fn(handler)).await
}

async fn tick(engine: &Engine, budget: Duration) -> Result<Value, Error> {
    let done = engine.promote_for(budget).await?;
    tracing::info!(sent = done.sent, failed = done.failed, more = done.more, "tick");
    Ok(json!({"sent": done.sent, "failed": done.failed, "more": done.more}))
}
