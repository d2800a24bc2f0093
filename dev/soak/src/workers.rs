//! The workers: most jobs are done, some fail, some workers crash or are too slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Http;
use crate::load::{CRON, LIMITS, QUEUES};
use crate::probe;

/// Repeats of an ack or nack.
const TRIES: u32 = 60;

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    http: Http,
    name: String,
    random: fastrand::Rng,
    /// Nothing is left to do.
    done: Arc<AtomicBool>,
}

/// What a worker does with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Ack,
    /// Heartbeats, beyond the length of a lease, then an ack.
    Long,
    Nack,
    NackForGood,
    Requeue,
    /// Crashes: the lease lapses.
    Abandon,
    /// Acks when the lease has lapsed.
    Late,
}

impl Worker {
    pub(crate) fn new(http: Http, number: usize, random: fastrand::Rng, done: Arc<AtomicBool>) -> Self {
        Self { http, name: format!("worker-{number}"), random, done }
    }

    /// Fetches and works until nothing is left.
    pub(crate) async fn work(mut self) {
        let mut queues: Vec<String> = QUEUES.iter().copied().chain([CRON]).map(str::to_owned).collect();
        let mut probed = false;
        while !self.done.load(Ordering::Relaxed) {
            if self.http.is_probed() && !probed {
                // What is left there are duplicates.
                queues.extend(LIMITS.iter().map(|key| probe::queue(key)));
                probed = true;
            }
            self.random.shuffle(&mut queues);
            let lease_ms = self.random.u64(2_000..5_000);
            let body = json!({
                "queues": queues, "count": self.random.u32(1..8), "worker_id": self.name,
                "visibility_timeout_ms": lease_ms,
            });
            let fetched = self.http.once(&self.name, "POST", "workers/fetch", &body).await;
            let jobs = fetched.answer["jobs"].as_array().cloned().unwrap_or_default();
            let idle = jobs.is_empty();
            for job in jobs {
                self.run(&job, lease_ms).await;
            }
            if idle {
                tokio::time::sleep(Duration::from_millis(self.random.u64(50..250))).await;
            }
        }
    }

    async fn run(&mut self, job: &Value, lease_ms: u64) {
        let plan = if self.http.finishing() { Plan::Ack } else { plan(self.random.u32(..200)) };
        let pause_ms = match plan {
            // A slot is held as long.
            Plan::Late => lease_ms + self.random.u64(50..600),
            _ => self.random.u64(..30),
        };
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        match plan {
            Plan::Abandon => {}
            Plan::Ack | Plan::Late => self.ack(job).await,
            Plan::Long => {
                for _ in 0..4 {
                    tokio::time::sleep(Duration::from_millis(lease_ms / 3)).await;
                    self.beat(job).await;
                }
                self.ack(job).await;
            }
            Plan::Nack => self.nack(job, json!({"error": {"code": "SOAK", "message": "one attempt fails"}})).await,
            Plan::NackForGood => {
                self.nack(job, json!({"error": {"code": "SOAK", "message": "for good", "retryable": false}})).await;
            }
            Plan::Requeue => self.nack(job, json!({"requeue": true})).await,
        }
    }

    /// The result names the lease, so that the check sees which ack ended the job.
    async fn ack(&self, job: &Value) {
        let (id, token) = (&job["id"], &job["lease_token"]);
        let body = json!({"job_id": id, "lease_token": token, "result": {"lease": token}});
        self.http.repeat(&self.name, "POST", "workers/ack", &body, None, TRIES).await;
    }

    async fn nack(&self, job: &Value, mut body: Value) {
        body["job_id"] = job["id"].clone();
        body["lease_token"] = job["lease_token"].clone();
        self.http.repeat(&self.name, "POST", "workers/nack", &body, None, TRIES).await;
    }

    async fn beat(&self, job: &Value) {
        let Some(id) = job["id"].as_str() else { return };
        let body = json!({"worker_id": self.name, "active_jobs": [id], "lease_tokens": {id: job["lease_token"]}});
        self.http.once(&self.name, "POST", "workers/heartbeat", &body).await;
    }
}

fn plan(roll: u32) -> Plan {
    match roll {
        0..150 => Plan::Ack,
        150..154 => Plan::Long,
        154..176 => Plan::Nack,
        176..182 => Plan::NackForGood,
        182..188 => Plan::Requeue,
        188..194 => Plan::Abandon,
        _ => Plan::Late,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_happens_and_most_jobs_are_done() {
        let plans: Vec<Plan> = (0..200).map(plan).collect();
        let rare = [Plan::Long, Plan::Nack, Plan::NackForGood, Plan::Requeue, Plan::Abandon, Plan::Late];
        assert!(rare.iter().all(|rare| plans.contains(rare)));
        assert!(plans.iter().filter(|plan| **plan == Plan::Ack).count() >= 100);
    }
}
