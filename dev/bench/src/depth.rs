//! How many round trips deep each path is: what a user on AWS feels. Every AWS call is delayed by a fixed time, so that
//! a path's time, divided by it, is its depth.

use std::time::{Duration, Instant};

use ojs_core::Settings;
use ojs_core::engine::Heartbeat;
use ojs_fault_injection::Wire;
use serde::Serialize;
use serde_json::json;

use crate::Outcome;
use crate::args::Args;
use crate::lab::{Lab, WORKER, ack, fetch, nack, token};
use crate::speed::{ARGS_BYTES, Sample};
use crate::stage::Stage;

/// What each AWS call is delayed by.
const LATENCY: Duration = Duration::from_millis(10);
/// Issue: "p50 within 15 % of depth x 10 ms".
const MAX_DEVIATION: f64 = 0.15;
/// The path that the others are compared with.
const SINGLE_CALL: &str = "single_call";
/// Runs that are not recorded: connections are opened.
const WARM_UP: usize = 3;

/// A path and its goal in round trips.
#[derive(Debug, Clone, Copy)]
struct Path {
    operation: &'static str,
    /// `None` where neither issue nor design sets one.
    goal: Option<u32>,
}

const fn path(operation: &'static str, goal: Option<u32>) -> Path {
    Path { operation, goal }
}

/// Issue: "enqueue 1, fetch 2, ack 2, heartbeat 2"; design: get is one read.
const PATHS: [Path; 8] = [
    // One bare read: what a round trip takes when the latency is added.
    path(SINGLE_CALL, Some(1)),
    path("enqueue", Some(1)),
    path("fetch_one", Some(2)),
    path("ack", Some(2)),
    path("heartbeat_one", Some(2)),
    path("get", Some(1)),
    path("nack_retry", None),
    path("cancel_available", None),
];

/// How deep one path is.
#[derive(Debug, Serialize)]
pub(crate) struct Depth {
    operation: &'static str,
    p50_us: f64,
    /// p50 in injected latencies.
    round_trips: f64,
    /// p50 in p50s of one bare call on the same wire: what the timers and this build add is in both.
    depth: f64,
    goal: Option<u32>,
    expected_us: Option<f64>,
    /// From what the goal would take.
    deviation: Option<f64>,
    /// From what the goal would take at the p50 of one bare call on the same wire.
    deviation_measured: Option<f64>,
}

pub(crate) async fn run(args: &Args) -> Outcome<Vec<Depth>> {
    let stage = Stage::start().await?;
    let wire = SlowWire(Wire::new());
    let settings = Settings { table: "depth".to_owned(), queue_prefix: "depth".to_owned(), ..Settings::default() };
    let lab = Lab::start(&stage, &settings, wire.0.http_client(), ARGS_BYTES).await?;
    let repetitions = if args.quick { 10 } else { 50 };
    let one_us = p50_us(&lab, &wire, SINGLE_CALL, repetitions).await?;
    let mut depths = Vec::new();
    for Path { operation, goal } in PATHS {
        let p50_us = p50_us(&lab, &wire, operation, repetitions).await?;
        let latency_us = LATENCY.as_secs_f64() * 1e6;
        let expected_us = goal.map(|goal| f64::from(goal) * latency_us);
        let measured_us = goal.map(|goal| f64::from(goal) * one_us);
        let off = |expected: f64| thousandths(p50_us / expected - 1.0);
        depths.push(Depth {
            operation,
            p50_us,
            round_trips: thousandths(p50_us / latency_us),
            depth: thousandths(p50_us / one_us),
            goal,
            expected_us,
            deviation: expected_us.map(off),
            deviation_measured: measured_us.map(off),
        });
    }
    stage.stop().await;
    Ok(depths)
}

pub(crate) fn print(depths: &[Depth]) {
    println!("\nDepth: 1 client, every AWS call delayed by {} ms", LATENCY.as_millis());
    println!(
        "{:<17} {:>8} {:>9} {:>6} {:>5} {:>10} {:>22}",
        "operation", "p50 ms", "p50/10ms", "depth", "goal", "deviation", "from measured latency"
    );
    for depth in depths {
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:+.1} %", share * 100.0));
        println!(
            "{:<17} {:>8.2} {:>9.2} {:>6.2} {:>5} {:>10} {:>22}",
            depth.operation,
            depth.p50_us / 1_000.0,
            depth.round_trips,
            depth.depth,
            depth.goal.map_or("-".to_owned(), |goal| goal.to_string()),
            percent(depth.deviation),
            percent(depth.deviation_measured)
        );
    }
    for depth in depths.iter().filter(|d| d.deviation.is_some_and(|off| off.abs() > MAX_DEVIATION)) {
        eprintln!("warning: {} is more than {} % off its goal", depth.operation, MAX_DEVIATION * 100.0);
    }
}

/// One sentence per path that takes a round trip more than its goal. Counted in real calls, not in injected latencies:
/// a slow build or machine must not look like a deep path.
pub(crate) fn too_deep(depths: &[Depth]) -> Vec<String> {
    let excess = |depth: &Depth| {
        let goal = depth.goal.filter(|goal| depth.depth > f64::from(*goal) + 0.5)?;
        Some(format!("{} takes {} round trips, goal {goal}", depth.operation, depth.depth))
    };
    depths.iter().filter_map(excess).collect()
}

async fn p50_us(lab: &Lab, wire: &SlowWire, operation: &str, repetitions: usize) -> Outcome<f64> {
    let mut sample = Sample::new()?;
    for repetition in 0..WARM_UP + repetitions {
        let latency = once(lab, wire, operation).await?;
        if repetition >= WARM_UP {
            sample.add(latency);
        }
    }
    Ok(sample.quantile_us(0.5))
}

/// Sets up without latency, then takes the time of the operation with it.
async fn once(lab: &Lab, wire: &SlowWire, operation: &str) -> Outcome<Duration> {
    let engine = &lab.engine;
    let queue = operation.replace('_', "-");
    let none = json!({});
    match operation {
        SINGLE_CALL => wire.timed(engine.store().ping()).await,
        "enqueue" => wire.timed(engine.enqueue(lab.request(&queue, &none)?)).await,
        "fetch_one" => {
            lab.enqueue(&queue, &none).await?;
            wire.timed(engine.fetch(fetch(&queue, 1))).await
        }
        "ack" => {
            let job = lab.active(&queue, &none).await?;
            wire.timed(engine.ack(ack(&job))).await
        }
        "heartbeat_one" => {
            let job = lab.active(&queue, &none).await?;
            let jobs = vec![(job.id.clone(), token(&job))];
            wire.timed(engine.heartbeat(Heartbeat { worker_id: WORKER.to_owned(), jobs, visibility_ms: None })).await
        }
        "get" => {
            let job = lab.enqueue(&queue, &none).await?;
            wire.timed(engine.get(&job.id)).await
        }
        "nack_retry" => {
            let job = lab.active(&queue, &json!({"retry": {"initial_interval": "PT1M"}})).await?;
            wire.timed(engine.nack(nack(&job)?)).await
        }
        "cancel_available" => {
            let job = lab.enqueue(&queue, &none).await?;
            wire.timed(engine.cancel(&job.id)).await
        }
        other => Err(format!("no such path: {other}").into()),
    }
}

/// A wire that can be made slow.
struct SlowWire(Wire);

impl SlowWire {
    async fn timed<T>(&self, operation: impl Future<Output = ojs_model::Result<T>>) -> Outcome<Duration> {
        self.0.set_latency(LATENCY);
        let started = Instant::now();
        let answer = operation.await;
        let latency = started.elapsed();
        self.0.set_latency(Duration::ZERO);
        answer?;
        Ok(latency)
    }
}

fn thousandths(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
