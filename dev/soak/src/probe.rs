//! Slots of rate limits at the end: as many jobs as may can run at once.
//!
//! A fetch that is killed between the note of a start and the claim leaves a slot taken. It is freed when slots run short, a
//! minute later at the earliest. So the probe makes them run short.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::Http;
use crate::load::{LIMIT_CONCURRENCY, LIMITS};

/// Slots are believed to be taken for a minute, and the tick releases what is parked.
const PATIENCE: Duration = Duration::from_secs(150);
/// Heartbeats extend it. A duplicate of the message of a job that is held is hidden as long.
const LEASE_MS: u32 = 15_000;
const TRIES: u32 = 60;

/// Keys of limits under which not as many jobs ran at once as may. The workers get the queues of the probe afterwards.
pub(crate) async fn short_of_slots(http: &Http) -> Vec<String> {
    let keys = LIMITS.iter().map(|key| {
        let http = http.clone();
        tokio::spawn(async move { (*key, fills_up(&http, key).await) })
    });
    let mut short = Vec::new();
    for key in keys.collect::<Vec<_>>() {
        match key.await {
            Ok((_, true)) => {}
            Ok((key, false)) => short.push(key.to_owned()),
            Err(error) => short.push(error.to_string()),
        }
    }
    http.probed();
    short
}

/// The queue of a key's probe.
pub(crate) fn queue(key: &str) -> String {
    format!("{key}-probe")
}

/// Extends the leases of what is held.
async fn keep(http: &Http, held: &[Value]) {
    let of = |field: &'static str| held.iter().filter_map(move |job| job[field].as_str());
    let tokens: HashMap<&str, &str> = of("id").zip(of("lease_token")).collect();
    let ids: Vec<&str> = of("id").collect();
    if !ids.is_empty() {
        let body = json!({"worker_id": "probe", "active_jobs": ids, "lease_tokens": tokens});
        http.repeat("probe", "POST", "workers/heartbeat", &body, None, TRIES).await;
    }
}

/// Whether all slots of a key can be held at once.
async fn fills_up(http: &Http, key: &str) -> bool {
    let queue = queue(key);
    for number in 0..LIMIT_CONCURRENCY {
        let marker = format!("probe-{key}-{number}");
        let body = json!({
            "type": "soak.probe", "args": [marker], "meta": {"message_group_id": marker},
            "options": {"queue": queue, "rate_limit": {"key": key, "concurrency": LIMIT_CONCURRENCY}},
        });
        http.repeat("probe", "POST", "jobs", &body, Some(&marker), TRIES).await;
    }
    let mut held: Vec<Value> = Vec::new();
    let until = Instant::now() + PATIENCE;
    while held.len() < LIMIT_CONCURRENCY && Instant::now() < until {
        let body = json!({
            "queues": [queue], "count": LIMIT_CONCURRENCY, "worker_id": "probe", "visibility_timeout_ms": LEASE_MS,
        });
        let fetched = http.once("probe", "POST", "workers/fetch", &body).await;
        held.extend(fetched.answer["jobs"].as_array().cloned().unwrap_or_default());
        keep(http, &held).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for job in &held {
        let token = &job["lease_token"];
        let body = json!({"job_id": job["id"], "lease_token": token, "result": {"lease": token}});
        http.repeat("probe", "POST", "workers/ack", &body, None, TRIES).await;
    }
    held.len() == LIMIT_CONCURRENCY
}
