//! The scheduler function: on each tick it sends the messages of jobs that come due soon, then looks into the native dead-letter
//! queues of some queues, and with the time that is left goes on with the audit.

use std::process::ExitCode;

use ojs_core::Engine;
use ojs_core::engine::{Audited, Redriven, TickBudget};
use ojs_model::Result;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> ExitCode {
    ojs_tick::run("scheduler", tick).await
}

async fn tick(engine: &Engine, budget: TickBudget) -> Result<Value> {
    let promoted = engine.send_due(budget).await;
    // Whatever became of the jobs: one that fails must not keep these queues full. Nothing in them is urgent, so that a
    // failure here is not worth another tick.
    let drained = engine.redrive(budget).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "native dead-letter queues not drained; the next tick goes on");
        Redriven::default()
    });
    let audited = engine.audit(budget).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "audit cut short; the next tick goes on");
        Audited::default()
    });
    let promoted = promoted?;
    Ok(json!({
        "sent": promoted.sent,
        "failed": promoted.failed,
        "more": promoted.more,
        "resent": drained.resent,
        "dropped": drained.dropped,
        "audit": {
            "items": audited.items,
            "resent": audited.resent,
            "ended": audited.ended,
            "workflows": audited.workflows,
            "batches": audited.batches,
            "locks": audited.locks,
            "failed": audited.failed,
            "passed": audited.passed,
        },
    }))
}
