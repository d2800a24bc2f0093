//! The clients: what they send, of every kind of job.

mod flows;
mod jobs;
mod queues;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Http;

pub(crate) use queues::{CRON, CRON_NAMES, LIMIT_CONCURRENCY, LIMITS, QUEUES};

/// Repeats of a request that may happen twice: enough to get over kills and a run that has to be taken over after 60 s.
pub(super) const TRIES: u32 = 120;

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    http: Http,
    name: String,
    random: fastrand::Rng,
    /// Numbers the requests of all clients, as the jobs' first argument.
    next: Arc<AtomicU64>,
}

impl Client {
    pub(crate) fn new(http: Http, number: usize, random: fastrand::Rng, next: Arc<AtomicU64>) -> Self {
        Self { http, name: format!("client-{number}"), random, next }
    }

    /// Sends requests until the run is finishing.
    pub(crate) async fn work(mut self) {
        while !self.http.finishing() {
            self.one().await;
            tokio::time::sleep(Duration::from_millis(self.random.u64(20..200))).await;
        }
    }

    async fn one(&mut self) {
        match self.random.u32(..100) {
            0..30 => self.plain().await,
            30..40 => self.scheduled().await,
            40..50 => self.unique().await,
            50..58 => self.limited().await,
            58..66 => self.keyed().await,
            66..71 => self.batch().await,
            71..74 => self.bulk().await,
            74..79 => self.chain().await,
            79..83 => self.group().await,
            83..87 => self.batch_workflow().await,
            87..91 => self.graph().await,
            91..93 => self.nested().await,
            93..97 => self.look_again().await,
            _ => self.cancel().await,
        }
    }

    /// A name that no other request has.
    fn marker(&self) -> String {
        format!("m{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn queue(&mut self) -> &'static str {
        self.random.choice(QUEUES).copied().unwrap_or("soak-a")
    }
}

/// A job of a type, with options beside the queue.
pub(super) fn job(kind: &str, marker: &str, queue: &str, options: Value) -> Value {
    let mut all = json!({"queue": queue, "retry": retry()});
    if let (Value::Object(all), Value::Object(options)) = (&mut all, options) {
        all.extend(options);
    }
    json!({"type": format!("soak.{kind}"), "args": [marker], "options": all})
}

/// Enough attempts for workers that crash, soon one after the other.
pub(super) fn retry() -> Value {
    json!({"max_attempts": 6, "initial_interval": "PT1S", "max_interval": "PT2S", "on_exhaustion": "dead_letter"})
}

/// Registers the cron jobs.
pub(crate) async fn register_crons(http: &Http) {
    for (name, policy) in CRON_NAMES {
        let cron = json!({
            "name": name, "cron": "*/2 * * * * *", "type": "soak.cron", "args": [name],
            "options": {"queue": CRON, "retry": retry()}, "overlap_policy": policy,
        });
        http.repeat("soak", "POST", "cron", &cron, None, TRIES).await;
    }
}

/// Deletes them: they would fire for ever.
pub(crate) async fn delete_crons(http: &Http) {
    for (name, _) in CRON_NAMES {
        http.repeat("soak", "DELETE", &format!("cron/{name}"), &Value::Null, None, TRIES).await;
    }
}
