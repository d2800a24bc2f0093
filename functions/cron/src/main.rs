//! The cron function: on each tick it fires the cron jobs whose time has come, and sends messages ahead for those whose
//! time comes before the next tick, so that they fire on their second.

use std::process::ExitCode;

use ojs_core::Engine;
use ojs_core::engine::TickBudget;
use ojs_model::Result;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> ExitCode {
    ojs_tick::run("cron", tick).await
}

async fn tick(engine: &Engine, budget: TickBudget) -> Result<Value> {
    let ticked = engine.cron_tick(budget).await?;
    Ok(json!({
        "fired": ticked.fired,
        "skipped": ticked.skipped,
        "woken": ticked.woken,
        "failed": ticked.failed,
        "more": ticked.more,
    }))
}
