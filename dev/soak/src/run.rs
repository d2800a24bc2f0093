//! One run: the load with kills, the end, the checks.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::check::{self, World};
use crate::drain;
use crate::ghosts::ghosts;
use crate::history::{Call, History};
use crate::http::Http;
use crate::load::{self, Client, LIMITS};
use crate::probe;
use crate::programs::{Counts, Programs};
use crate::report::Report;
use crate::stage::Stage;
use crate::table::Item;
use crate::workers::Worker;
use crate::{Args, Mode, Outcome};

const CLIENTS: usize = 4;
const WORKERS: usize = 6;
/// How many jobs are read at a time at the end.
const READERS: usize = 8;

/// Runs one mode.
pub(crate) async fn run(args: Args, mode: Mode, seed: u64) -> Outcome<Report> {
    let name = format!("{}-{seed}", mode.name());
    let stage = Stage::start(&args, mode, seed).await?;
    let history = Arc::new(History::create(&args.out.join(format!("{name}.jsonl")))?);
    let http = Http::new(stage.url(), Arc::clone(&history))?;
    let log = args.out.join(format!("{name}.log"));
    let _ = std::fs::remove_file(&log);
    let programs = Programs::new(&stage, log);
    let counts = Arc::new(Counts::default());
    let mut random = fastrand::Rng::with_seed(seed);

    let api = programs.api(&http).await?;
    load::register_crons(&http).await;
    let ticking = {
        let (programs, http, counts, random) = (programs.clone(), http.clone(), Arc::clone(&counts), random.fork());
        tokio::spawn(async move { programs.keep_ticking(&http, &counts, random).await })
    };
    let killing = {
        let (http, counts, random, every) = (http.clone(), Arc::clone(&counts), random.fork(), args.kill_every_ms);
        tokio::spawn(async move { programs.keep_killing(api, &http, &counts, every, random).await })
    };
    let (mut clients, mut workers) = (JoinSet::new(), JoinSet::new());
    let (next, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    for number in 0..CLIENTS {
        clients.spawn(Client::new(http.clone(), number, random.fork(), Arc::clone(&next)).work());
    }
    for number in 0..WORKERS {
        workers.spawn(Worker::new(http.clone(), number, random.fork(), Arc::clone(&done)).work());
    }
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;

    http.finish();
    // Kept alive until the end.
    let api = killing.await??;
    clients.join_all().await;
    load::delete_crons(&http).await;
    let mut calls = history.take();
    let promised: HashSet<String> = check::promised(&calls).into_iter().collect();
    let patience = Duration::from_secs(args.patience);
    drain::everything_ends(&stage, mode.name(), &promised, patience).await?;
    let short_of_slots = probe::short_of_slots(&http).await;
    let items = drain::everything_ends(&stage, mode.name(), &promised, patience).await?;
    // Before the world is read: to read a job that has waited long sends its message again.
    let messages = stage.aws.sqs.message_count();
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    workers.join_all().await;
    ticking.abort();
    calls.extend(history.take());
    let mut world = read_world(&http, &calls, items).await;
    // Reading is no part of what is checked, but the terminal states that it shows are.
    calls.extend(history.take());
    calls.sort_by_key(|call| call.sent_ms);
    world.ghosts = ghosts(&world.items, &promised);
    (world.calls, world.short_of_slots, world.messages) = (calls, short_of_slots, messages);
    drop(api);
    let violations = check::all(&world);
    let report = Report::new(mode, seed, &world, &counts, violations);
    stage.aws.shutdown().await;
    Ok(report)
}

/// What the API says at the end.
async fn read_world(http: &Http, calls: &[Call], items: Vec<Item>) -> World {
    let ids = items.iter().filter_map(Item::job_id).map(str::to_owned).chain(check::promised(calls));
    let jobs = read_all(http, unique(ids), "jobs", "job").await;
    let workflows = items.iter().filter_map(Item::workflow_id).map(str::to_owned);
    let workflows = unique(workflows.chain(check::promised_workflows(calls)));
    let workflows = read_all(http, workflows, "workflows", "workflow").await;
    let limits = read_all(http, unique(LIMITS.iter().map(|key| (*key).to_owned())), "rate-limits", "").await;
    World { items, jobs, workflows, limits, ..World::default() }
}

fn unique(ids: impl Iterator<Item = String>) -> Vec<String> {
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}

async fn read_all(http: &Http, ids: Vec<String>, path: &'static str, field: &'static str) -> HashMap<String, Value> {
    let ids = Arc::new(std::sync::Mutex::new(ids));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (http, ids) = (http.clone(), Arc::clone(&ids));
        readers.spawn(async move {
            let mut read = Vec::new();
            loop {
                let id = ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
                let Some(id) = id else { return read };
                let call = http.repeat("check", "GET", &format!("{path}/{id}"), &Value::Null, None, 30).await;
                let found = if field.is_empty() { call.answer } else { call.answer[field].clone() };
                read.push((id, found));
            }
        });
    }
    readers.join_all().await.into_iter().flatten().filter(|(_, found)| !found.is_null()).collect()
}
