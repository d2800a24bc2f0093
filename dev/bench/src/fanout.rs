//! A group of 1,000 jobs, acked by 64 clients at once, beside as many plain jobs.

use std::sync::Arc;
use std::time::Instant;

use futures::future::try_join_all;
use ojs_core::engine::Fetch;
use ojs_core::{Engine, Settings, SystemClock};
use ojs_model::job::Job;
use ojs_model::json::Fields;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Args;
use crate::lab::{args_of, body, fetch, holder};
use crate::machine::{self, Machine};
use crate::speed::Sample;
use crate::stage::Stage;
use crate::{Outcome, report};

/// Clients that ack at once.
const CLIENTS: usize = 64;
/// Issue: "ack p99 not more than 3 times that of a plain job".
const MAX_RATIO: f64 = 3.0;

/// fanout.json.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    date_unchecked_seconds: u64,
    jobs: usize,
    clients: usize,
    plain_ack_p50_us: f64,
    plain_ack_p99_us: f64,
    group_ack_p50_us: f64,
    group_ack_p99_us: f64,
    create_ms: f64,
    ratio_p99: f64,
    completed: bool,
}

/// Measures; a wall time on a machine that others use is no reason to fail, a job that is not counted is.
pub(crate) async fn run(args: &Args) -> Outcome<bool> {
    let count = if args.quick { 200 } else { 1_000 };
    let stage = Stage::start().await?;
    let settings = Settings { table: "fanout".to_owned(), ..Settings::default() };
    let engine = Arc::new(stage.engine(&settings, None, Arc::new(SystemClock)).await?);
    let jobs = |queue: &str| -> Vec<Value> { (0..count).map(|_| body(&args_of(200), queue, &json!({}))).collect() };
    let fields = |body: Value| Fields::from_body(body.to_string().as_bytes());

    engine.enqueue_batch(fields(json!({"jobs": jobs("plain")}))?).await?;
    let plain = ack_all(&engine, "plain", count).await?;
    let started = Instant::now();
    let group = engine.create_workflow(fields(json!({"type": "group", "jobs": jobs("group")}))?).await?;
    let create_ms = started.elapsed().as_secs_f64() * 1_000.0;
    let member = ack_all(&engine, "group", count).await?;
    let end = engine.get_workflow(&group.workflow.id).await?;
    let completed = end.workflow.state == ojs_model::workflow::WorkflowState::Completed;
    stage.stop().await;

    let ratio_p99 = member.quantile_us(0.99) / plain.quantile_us(0.99).max(1.0);
    let machine = Machine::here();
    println!("\nFan-out: {count} jobs, {CLIENTS} clients acking at once ({machine}).");
    println!("{:<16} {:>12} {:>12}", "ack", "p50 us", "p99 us");
    for (what, sample) in [("plain", &plain), ("of a group", &member)] {
        println!("{what:<16} {:>12.1} {:>12.1}", sample.quantile_us(0.5), sample.quantile_us(0.99));
    }
    println!("created in {create_ms:.0} ms; p99 {ratio_p99:.2} times a plain ack's (goal: {MAX_RATIO})");
    println!("{}", if completed { "no end is lost: the group has completed" } else { "the group has NOT completed" });
    report::write(
        &args.out,
        "fanout.json",
        &Report {
            machine,
            date_unchecked_seconds: machine::unchecked_seconds(),
            jobs: count,
            clients: CLIENTS,
            plain_ack_p50_us: plain.quantile_us(0.5),
            plain_ack_p99_us: plain.quantile_us(0.99),
            group_ack_p50_us: member.quantile_us(0.5),
            group_ack_p99_us: member.quantile_us(0.99),
            create_ms,
            ratio_p99,
            completed,
        },
    )?;
    Ok(completed)
}

/// Fetches all jobs of a queue, then acks them, so many at a time.
async fn ack_all(engine: &Arc<Engine>, queue: &str, count: usize) -> Outcome<Sample> {
    let mut jobs: Vec<Job> = Vec::with_capacity(count);
    while jobs.len() < count {
        let more = engine.fetch(Fetch { visibility_ms: Some(600_000), ..fetch(queue, 100) }).await?;
        if more.is_empty() {
            return Err(format!("queue {queue} has only {} jobs", jobs.len()).into());
        }
        jobs.extend(more);
    }
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let mine: Vec<Job> = jobs.iter().skip(client).step_by(CLIENTS).cloned().collect();
        let engine = Arc::clone(engine);
        async move {
            let mut latencies = Vec::with_capacity(mine.len());
            for job in mine {
                let started = Instant::now();
                let ack = ojs_core::engine::Ack { id: job.id.clone(), holder: holder(&job), result: None };
                engine.ack(ack).await?;
                latencies.push(started.elapsed());
            }
            Ok::<_, crate::Failure>(latencies)
        }
    });
    let latencies = try_join_all(clients.map(tokio::spawn)).await?;
    let mut sample = Sample::new()?;
    sample.spend(started.elapsed(), 0);
    for client in latencies {
        client?.into_iter().for_each(|latency| sample.add(latency));
    }
    Ok(sample)
}
