//! Unique jobs, priorities, batches, limits and stats, counted.

use ojs_model::JobId;
use ojs_model::bulk::IdempotencyKey;
use ojs_model::job::Job;
use ojs_model::json::Fields;
use serde_json::{Value, json};

use super::meter::Meter;
use super::operations::{Operation, expect};
use super::tally::Tally;
use crate::Outcome;
use crate::lab::{ack, fetch};

/// Jobs in a batch.
const HUNDRED: usize = 100;

impl Operation {
    fn unique() -> Value {
        json!({"unique": {"keys": ["type", "queue"]}})
    }

    /// One of a key that is free.
    pub(super) async fn enqueue_unique(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let request = meter.lab.request(&queue, &Self::unique())?;
        let (made, tally) = meter.count(meter.lab.engine.enqueue(request)).await?;
        expect(!made.deduplicated, "the job is new")?;
        meter.lab.work_off(&queue).await?;
        Ok(tally)
    }

    /// One whose key is taken, by a job that has a worker.
    pub(super) async fn enqueue_duplicate(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let there = meter.lab.active(&queue, &Self::unique()).await?;
        let ignore = json!({"unique": {"keys": ["type", "queue"], "on_conflict": "ignore"}});
        let request = meter.lab.request(&queue, &ignore)?;
        let (made, tally) = meter.count(meter.lab.engine.enqueue(request)).await?;
        expect(made.deduplicated, "the job is a duplicate")?;
        meter.lab.engine.ack(ack(&there)).await?;
        Ok(tally)
    }

    /// One that takes the place of a waiting job.
    pub(super) async fn enqueue_replacing(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        meter.lab.enqueue(&queue, &Self::unique()).await?;
        let replace = json!({"unique": {"keys": ["type", "queue"], "on_conflict": "replace"}});
        let request = meter.lab.request(&queue, &replace)?;
        let (made, tally) = meter.count(meter.lab.engine.enqueue(request)).await?;
        meter.lab.engine.cancel(&made.job.id).await?;
        Ok(tally)
    }

    pub(super) async fn ack_unique(self, meter: &Meter) -> Outcome<Tally> {
        let job = meter.lab.active(&self.queue(), &Self::unique()).await?;
        Ok(meter.count(meter.lab.engine.ack(ack(&job))).await?.1)
    }

    /// An idle queue that has used three priorities, asked for the first time in a while.
    pub(super) async fn fetch_idle_tiers(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        for priority in [50, -50] {
            meter.lab.enqueue(&queue, &json!({"priority": priority})).await?;
            while let Some(job) = meter.lab.engine.fetch(fetch(&queue, 1)).await?.pop() {
                meter.lab.engine.ack(ack(&job)).await?;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        // What it knows of the queue is read once a second, and not counted with the first.
        meter.lab.engine.pause_queue(&queue).await?;
        meter.lab.engine.resume_queue(&queue).await?;
        let (jobs, tally) = meter.count(meter.lab.engine.fetch(fetch(&queue, 1))).await?;
        expect(jobs.is_empty(), "the queue is empty")?;
        Ok(tally)
    }

    /// A hundred jobs in one request, per job.
    pub(super) async fn enqueue_batch(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let jobs: Vec<Value> = (0..HUNDRED).map(|_| meter.lab.body(&queue, &json!({}))).collect();
        let request = Fields::from_body(json!({"jobs": jobs}).to_string().as_bytes())?;
        let (made, tally) = meter.count(meter.lab.engine.enqueue_batch(request)).await?;
        expect(made.len() == HUNDRED, "all jobs are made")?;
        Ok(tally.per(HUNDRED))
    }

    /// A job under an idempotency key, or the same request once more.
    pub(super) async fn enqueue_keyed(self, meter: &Meter) -> Outcome<Tally> {
        let (queue, engine) = (self.queue(), &meter.lab.engine);
        let key = IdempotencyKey::parse("key", engine.ids().job_id(engine.now_ms()).to_string())?;
        let again = self == Self::EnqueueKeyedAgain;
        if again {
            engine.enqueue_keyed(meter.lab.request(&queue, &json!({}))?, &key).await?;
        }
        let request = meter.lab.request(&queue, &json!({}))?;
        let (made, tally) = meter.count(engine.enqueue_keyed(request, &key)).await?;
        expect(made.replayed == again, "only a repetition is replayed")?;
        meter.lab.work_off(&queue).await?;
        Ok(tally)
    }

    /// A job whose limits let it start.
    pub(super) async fn fetch_limited(self, meter: &Meter, limits: Value) -> Outcome<Tally> {
        let queue = self.queue();
        let mut policy = json!({"key": queue});
        if let (Some(policy), Some(limits)) = (policy.as_object_mut(), limits.as_object()) {
            policy.extend(limits.clone());
        }
        meter.lab.enqueue(&queue, &json!({"rate_limit": policy})).await?;
        let (jobs, tally) = meter.count(meter.lab.engine.fetch(fetch(&queue, 1))).await?;
        expect(jobs.len() == 1, "the job starts")?;
        meter.lab.engine.ack(ack(&jobs[0])).await?;
        Ok(tally)
    }

    /// A job whose limit does not let it start, as this process knows.
    pub(super) async fn fetch_refused(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let policy = json!({"rate_limit": {"key": queue, "rate": {"limit": 1, "period": "P1D"}}});
        meter.lab.enqueue(&queue, &policy).await?;
        // The first refusal in a while reads the limit; the first start of all takes it.
        for job in meter.lab.engine.fetch(fetch(&queue, 1)).await? {
            meter.lab.engine.ack(ack(&job)).await?;
        }
        meter.lab.enqueue(&queue, &policy).await?;
        let (jobs, tally) = meter.count(meter.lab.engine.fetch(fetch(&queue, 1))).await?;
        expect(jobs.is_empty(), "the job does not start")?;
        Ok(tally)
    }

    /// A job that holds a slot.
    pub(super) async fn ack_limited(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let policy = json!({"rate_limit": {"key": queue, "concurrency": 10}});
        let job = meter.lab.active(&queue, &policy).await?;
        Ok(meter.count(meter.lab.engine.ack(ack(&job))).await?.1)
    }

    /// A job of the queue that holds the only slot of its limit, and one at least that is parked.
    async fn behind_parked(self, meter: &Meter) -> Outcome<Job> {
        let (queue, policy, engine) = (self.queue(), self.one_slot(), &meter.lab.engine);
        if let Some(limit) = engine.store().get_limit(&queue).await?
            && engine.waiting_count(&queue, &limit).await?.0 > 0
            && let Some((id, _)) = limit.holders.keys().next().and_then(|holder| holder.split_once('#'))
            && let Some(id) = JobId::parse(id)
        {
            return Ok(engine.get(&id).await?);
        }
        let active = meter.lab.active(&queue, &policy).await?;
        meter.lab.enqueue(&queue, &policy).await?;
        for _ in 0..3 {
            expect(engine.fetch(fetch(&queue, 1)).await?.is_empty(), "the slot is taken")?;
            tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        }
        Ok(active)
    }

    fn one_slot(self) -> Value {
        json!({"rate_limit": {"key": self.queue(), "concurrency": 1}})
    }

    /// A job that comes behind parked ones, and is parked.
    pub(super) async fn fetch_parked(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        self.behind_parked(meter).await?;
        meter.lab.enqueue(&queue, &self.one_slot()).await?;
        let (jobs, tally) = meter.count(meter.lab.engine.fetch(fetch(&queue, 1))).await?;
        expect(jobs.is_empty(), "the job does not start")?;
        Ok(tally)
    }

    /// A job that holds a slot for which another one is parked, whose message is sent.
    pub(super) async fn ack_releasing(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let active = self.behind_parked(meter).await?;
        meter.lab.enqueue(&queue, &self.one_slot()).await?;
        expect(meter.lab.engine.fetch(fetch(&queue, 1)).await?.is_empty(), "the slot is taken")?;
        let tally = meter.count(meter.lab.engine.ack(ack(&active))).await?.1;
        meter.lab.fetch_one(&queue).await?;
        Ok(tally)
    }

    pub(super) async fn queue_stats(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        meter.lab.enqueue(&queue, &json!({})).await?;
        Ok(meter.count(meter.lab.engine.queue_stats(&queue)).await?.1)
    }

    pub(super) async fn pause(self, meter: &Meter) -> Outcome<Tally> {
        Ok(meter.count(meter.lab.engine.pause_queue(&self.queue())).await?.1)
    }
}
