//! Enqueues under an idempotency key (ADR 0039). A job, or a batch of them, is written as a bulk request with a key is
//! ([`crate::engine::bulk::idempotency`]): the transaction that makes the jobs visible writes the answer too, so that a repetition gets it whatever has
//! become of the jobs since. An enqueue that is refused makes nothing and keeps no answer: its repetition runs again.

use super::Enqueued;
use super::batch::Keyed;
use crate::engine::bulk::idempotency::{Admitted, BulkAnswer, Run};
use crate::engine::{Engine, MAX_ANSWER_BYTES};
use ojs_model::batch::parse_batch;
use ojs_model::bulk::{Answer, IdempotencyKey, Operation, made_answer};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{NewJob, parse_enqueue};
use ojs_model::json::Fields;

impl Engine {
    /// Enqueues a job under a key: as [`Self::enqueue`], but a repetition gets the answer of the first request.
    ///
    /// # Errors
    /// As [`Self::enqueue`]; `conflict` for a key that was another request's, or whose request is under way.
    pub async fn enqueue_keyed(&self, request: Fields, key: &IdempotencyKey) -> Result<BulkAnswer> {
        let (now, fingerprint) = (self.now_ms(), request.fingerprint());
        let job = parse_enqueue(request, now, &self.ids)?;
        self.enqueue_under(Operation::Job, key, fingerprint, vec![job], now).await
    }

    /// Enqueues a batch under a key: as [`Self::enqueue_batch`], but a repetition gets the answer of the first request.
    ///
    /// # Errors
    /// As [`Self::enqueue_batch`]; `conflict` for a key that was another request's, or whose request is under way.
    pub async fn enqueue_batch_keyed(&self, request: Fields, key: &IdempotencyKey) -> Result<BulkAnswer> {
        let (now, fingerprint) = (self.now_ms(), request.fingerprint());
        let jobs = parse_batch(request, now, &self.ids)?;
        self.enqueue_under(Operation::Batch, key, fingerprint, jobs, now).await
    }

    async fn enqueue_under(
        &self,
        operation: Operation,
        key: &IdempotencyKey,
        fingerprint: [u8; 32],
        jobs: Vec<NewJob>,
        now: i64,
    ) -> Result<BulkAnswer> {
        let batch = self.ids.job_id(now);
        let run = match self.admit(operation, key, fingerprint, Some(batch.as_str()), now).await? {
            Admitted::Answered(answer) => return Ok(answer),
            Admitted::Run(run) => run,
        };
        match self.enqueue_run(&run, batch, jobs, now).await {
            Ok(answer) => Ok(BulkAnswer::fresh(answer)),
            Err(error) => self.end_run(&run, Err(error)).await,
        }
    }

    async fn enqueue_run(&self, run: &Run, batch: JobId, jobs: Vec<NewJob>, now: i64) -> Result<Answer> {
        // What the run before has left behind.
        if let Some(left) = run.plan.as_deref().and_then(JobId::parse) {
            self.abort_batch(&left).await?;
        }
        let keyed = Keyed { ticket: &run.ticket, batch, refused: &[] };
        let made = self.enqueue_all(jobs.into_iter().enumerate().collect(), true, Some(&keyed), now).await?;
        let made = made.into_iter().collect::<Result<Vec<_>>>()?;
        let items: Vec<_> = made.iter().map(Enqueued::item).collect();
        made_answer(run.ticket.operation, &items, MAX_ANSWER_BYTES)
    }
}
