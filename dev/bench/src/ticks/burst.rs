//! Many jobs due at once: how long one tick takes, and how many calls.

use std::sync::Arc;
use std::time::Instant;

use futures::stream::{self, StreamExt, TryStreamExt};
use ojs_core::engine::TickBudget;
use ojs_core::{Engine, Settings, SystemClock};
use ojs_fault_injection::{Service, Wire};
use ojs_model::time::format_ms;
use serde::Serialize;
use serde_json::json;

use crate::Outcome;
use crate::clock::Ahead;
use crate::lab;
use crate::speed::ARGS_BYTES;
use crate::stage::Stage;

/// How far ahead the jobs are scheduled, and how far ahead the tick's clock is, ms.
const AHEAD_MS: i64 = 3_600_000;
/// Enqueues at a time.
const CLIENTS: usize = 64;
/// Jobs whose calls are counted: counting takes time.
const COUNTED: usize = 2_000;
/// Issue: "at most 0.15 SQS calls per job by batching, at most 2 WCU per job".
const SQS_GOAL: f64 = 0.15;
const WCU_GOAL: f64 = 2.0;

/// What the tick took.
#[derive(Debug, Serialize)]
pub(crate) struct Burst {
    jobs: usize,
    seconds: f64,
    jobs_per_second: f64,
    dynamodb_calls_per_job: f64,
    sqs_calls_per_job: f64,
    wcu_per_job: f64,
    rcu_per_job: f64,
}

impl Burst {
    pub(crate) fn print(&self) {
        println!(
            "{} jobs in {:.1} s ({:.0} a second); per job {:.3} DynamoDB calls, {:.3} SQS calls, {:.2} WCU, {:.3} RCU",
            self.jobs,
            self.seconds,
            self.jobs_per_second,
            self.dynamodb_calls_per_job,
            self.sqs_calls_per_job,
            self.wcu_per_job,
            self.rcu_per_job
        );
    }

    pub(crate) fn meets_its_goal(&self) -> bool {
        self.sqs_calls_per_job <= SQS_GOAL && self.wcu_per_job <= WCU_GOAL
    }
}

async fn fill(engine: &Engine, jobs: usize) -> Outcome<()> {
    let args = lab::args_of(ARGS_BYTES);
    let start = engine.now_ms() + AHEAD_MS;
    stream::iter(0..jobs)
        .map(|i| {
            let due = start + i64::try_from(i % 60_000).unwrap_or(0);
            let request = lab::request(&args, "burst", &json!({"scheduled_at": format_ms(due)}));
            async move { engine.enqueue(request?).await.map_err(crate::Failure::from) }
        })
        .buffer_unordered(CLIENTS)
        .try_for_each(|_| async { Ok(()) })
        .await
}

#[allow(clippy::cast_precision_loss, reason = "counts of calls")]
pub(crate) async fn run(jobs: usize) -> Outcome<Burst> {
    let stage = Stage::start().await?;
    let settings = Settings { table: "burst".to_owned(), queue_prefix: "burst".to_owned(), ..Settings::default() };
    let now = stage.engine(&settings, None, Arc::new(SystemClock)).await?;

    // Counted with few, timed with many.
    let counted = COUNTED.min(jobs);
    fill(&now, counted).await?;
    let wire = Wire::new();
    let later = stage.engine(&settings, Some(wire.http_client()), Arc::new(Ahead(AHEAD_MS))).await?;
    wire.meter();
    let sent = later.send_due(TickBudget::UNLIMITED).await?.sent;
    check(sent, counted)?;
    let calls = wire.take_calls();
    let per_job = |total: f64| total / counted as f64;
    let count = |service| per_job(calls.iter().filter(|call| call.service == service).count() as f64);
    let units = |units: fn(&ojs_fault_injection::Call) -> f64| per_job(calls.iter().map(units).sum());

    fill(&now, jobs).await?;
    let later = stage.engine(&settings, None, Arc::new(Ahead(AHEAD_MS))).await?;
    let start = Instant::now();
    let sent = later.send_due(TickBudget::UNLIMITED).await?.sent;
    let seconds = start.elapsed().as_secs_f64();
    check(sent, jobs)?;
    let burst = Burst {
        jobs,
        seconds,
        jobs_per_second: jobs as f64 / seconds,
        dynamodb_calls_per_job: count(Service::DynamoDb),
        sqs_calls_per_job: count(Service::Sqs),
        wcu_per_job: units(|call| call.write_units),
        rcu_per_job: units(|call| call.read_units),
    };
    stage.stop().await;
    Ok(burst)
}

fn check(sent: usize, wanted: usize) -> Outcome<()> {
    if sent == wanted { Ok(()) } else { Err(format!("the tick sent {sent} of {wanted} jobs").into()) }
}
