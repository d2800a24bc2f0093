//! What the functions share that EventBridge calls once a minute.
//!
//! Outside Lambda the same program runs one tick and ends, for a system's own cron.

mod event;

pub use event::{Event, TickEvent};

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lambda_runtime::layers::{OpenTelemetryFaasTrigger, OpenTelemetryLayer};
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use ojs_core::aws::{Clients, ConnectOptions};
use ojs_core::engine::TickBudget;
use ojs_core::{Engine, Settings, SystemClock};
use ojs_telemetry::Telemetry;
use serde_json::Value;

/// Kept free at the end of an invocation, so that a call under way can end and the answer be sent.
const MARGIN: Duration = Duration::from_secs(3);
/// A tick ends before the next one begins, however long the function may run: EventBridge's period, less the margin.
const LONGEST: Duration = Duration::from_secs(57);

/// Runs `tick` for each event of the Lambda runtime, or once where there is none.
///
/// A tick that fails as a whole is an error, which Lambda tries again (twice, by default).
pub async fn run(
    name: &'static str,
    tick: impl AsyncFn(&Engine, TickBudget) -> Result<Value, ojs_model::Error>,
) -> ExitCode {
    let served = match Telemetry::start(name, Some(ojs_otlp::exporter)) {
        Ok(telemetry) => {
            let served = serve(name, &telemetry, &tick).await;
            telemetry.stop();
            served
        }
        Err(error) => Err(error.into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(function = name, %error, "the function stops");
            ExitCode::FAILURE
        }
    }
}

async fn serve(
    name: &'static str,
    telemetry: &Telemetry,
    tick: &impl AsyncFn(&Engine, TickBudget) -> Result<Value, ojs_model::Error>,
) -> Result<(), Error> {
    let settings = Settings::from_env()?;
    let clients = Clients::connect(&settings, ConnectOptions::default()).await;
    let engine = &Engine::new(clients, settings, Arc::new(SystemClock));
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        let answer = Box::pin(tick(engine, engine.tick_budget(LONGEST))).await?;
        tracing::info!(function = name, %answer, "tick");
        return Ok(());
    }
    let handler = async |event: LambdaEvent<TickEvent>| -> Result<Value, Error> {
        let end = SystemTime::UNIX_EPOCH + Duration::from_millis(event.context.deadline);
        let left = end.duration_since(SystemTime::now()).unwrap_or_default();
        // When the tick was meant is only logged: what is due is asked of the table and the clock, so that late, repeated
        // and missing events make no difference.
        let (event_id, late_ms) = (event.payload.id(), event.payload.late_ms(engine.now_ms()));
        let budget = engine.tick_budget(left.saturating_sub(MARGIN).min(LONGEST));
        let answer = Box::pin(tick(engine, budget)).await?;
        tracing::info!(function = name, event_id, late_ms, %answer, "tick");
        Ok(answer)
    };
    // Once the answer is posted and before the sandbox is frozen.
    let telemetry = telemetry.clone();
    let flush = OpenTelemetryLayer::new(move || telemetry.flush()).with_trigger(OpenTelemetryFaasTrigger::Timer);
    Runtime::new(service_fn(handler)).layer(flush).run().await
}
