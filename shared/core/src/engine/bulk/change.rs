use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt};
use serde_json::Value;

use super::idempotency::{Admitted, BulkAnswer, Run};
use super::select::Selected;
use crate::engine::Engine;
use ojs_model::bulk::{Answer, Changed, IdempotencyKey, Operation, Selection, change_answer, parse_selection};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::State;
use ojs_model::json::Fields;

/// Jobs under way at a time.
const CONCURRENCY: usize = 8;
/// So many calls that AWS refuses or does not answer end a request: what has not been tried by then is not.
const MAX_OUTAGES: usize = 2 * CONCURRENCY;

/// One request, as its jobs see it.
struct Changing<'a> {
    engine: &'a Engine,
    operation: Operation,
    /// The states that a cancel by filter may cancel: a job that a worker has since claimed is left to it.
    only: Option<&'a [State]>,
    /// When the first run of a request began that runs again, ms since the Unix epoch.
    resumed_from: Option<i64>,
    outages: AtomicUsize,
}

impl Engine {
    /// Cancels, retries or deletes many jobs, each a transaction of its own, with a result for each (bulk operations sections
    /// 6 to 8). `key` is the idempotency key of the request's header.
    ///
    /// # Errors
    /// `invalid_request`, `payload_too_large` and `unsupported` for the request as a whole; `conflict` for an idempotency key
    /// that is under way or another request's; the AWS error, where it hits all jobs.
    pub async fn bulk_change(
        &self,
        operation: Operation,
        mut request: Fields,
        key: Option<IdempotencyKey>,
    ) -> Result<BulkAnswer> {
        let key = IdempotencyKey::take(&mut request, key)?;
        let fingerprint = request.fingerprint();
        let selection = parse_selection(operation, request)?;
        let Some(key) = key else {
            return self.change(operation, &selection, None).await.map(BulkAnswer::fresh);
        };
        let run = match self.admit(operation, &key, fingerprint, None, self.now_ms()).await? {
            Admitted::Answered(answer) => return Ok(answer),
            Admitted::Run(run) => run,
        };
        let answer = self.change(operation, &selection, Some(&run)).await;
        self.end_run(&run, answer).await
    }

    async fn change(&self, operation: Operation, selection: &Selection, run: Option<&Run>) -> Result<Answer> {
        let planned = run.and_then(|run| Selected::of_plan(run.plan.as_deref()?));
        let (selected, only) = match (selection, planned) {
            (Selection::Ids(ids), _) => (Selected { ids: ids.clone(), truncated: false }, None),
            (Selection::Filter(filter), Some(planned)) => (planned, Some(filter.states.as_slice())),
            (Selection::Filter(filter), None) => {
                let selected = self.select(filter).await?;
                if let Some(run) = run
                    && !self.store.plan_request(&run.ticket, &selected.to_plan()).await?
                {
                    return Err(Error::new(
                        ErrorCode::BackendUnavailable,
                        "The request runs elsewhere; try again shortly.",
                    ));
                }
                (selected, Some(filter.states.as_slice()))
            }
        };
        let resumed_from = run.and_then(|run| run.resumed_from);
        let changing = Changing { engine: self, operation, only, resumed_from, outages: AtomicUsize::new(0) };
        let each: Vec<_> = selected.ids.into_iter().map(|id| changing.one(id)).collect();
        let items: Vec<(JobId, Changed)> = stream::iter(each).buffered(CONCURRENCY).collect().await;
        // What AWS keeps from all of them is to be sent again as a whole.
        let outage = |item: &(JobId, Changed)| matches!(&item.1, Changed::Failed(error) if error.code.is_retryable());
        if let Some((_, Changed::Failed(error))) = items.first()
            && items.iter().all(outage)
        {
            return Err(error.clone());
        }
        tracing::info!(operation = operation.as_str(), jobs = items.len(), "bulk request done");
        Ok(change_answer(operation, &items, selected.truncated))
    }
}

impl Changing<'_> {
    async fn one(&self, id: JobId) -> (JobId, Changed) {
        if self.outages.load(Ordering::Relaxed) >= MAX_OUTAGES {
            let message = "Not tried: AWS had refused too many of the jobs before.";
            return (id, Changed::Failed(Error::new(ErrorCode::BackendUnavailable, message)));
        }
        let changed = match self.apply(&id).await {
            Ok(()) => Changed::Done,
            Err(error) if self.operation == Operation::Cancel && error.code == ErrorCode::Conflict => {
                let state = error.details.get("current_state").and_then(Value::as_str).unwrap_or("another");
                Changed::Skipped(format!("Job is in {state} state"))
            }
            Err(error) => {
                if error.code.is_retryable() {
                    self.outages.fetch_add(1, Ordering::Relaxed);
                }
                Changed::Failed(error)
            }
        };
        (id, changed)
    }

    async fn apply(&self, id: &JobId) -> Result<()> {
        let engine = self.engine;
        if let Some(since) = self.resumed_from
            && self.has_happened(id, since).await?
        {
            return Ok(());
        }
        match (self.operation, self.only) {
            (Operation::Cancel, Some(states)) => engine.cancel_in(id, states).await.map(|_| ()),
            (Operation::Cancel, None) => engine.cancel(id).await.map(|_| ()),
            (Operation::Retry, _) => engine.retry_job(id).await.map(|_| ()),
            (Operation::Delete, _) => engine.delete_job(id).await,
            (Operation::Enqueue | Operation::Job | Operation::Batch | Operation::Workflow, _) => {
                Err(Error::internal("an enqueue changes no job"))
            }
        }
    }

    /// Whether an earlier run of the same request has changed the job, or another request has in the same way since.
    async fn has_happened(&self, id: &JobId, since: i64) -> Result<bool> {
        let stored = self.engine.store.get_job(id).await?;
        let since = |at: Option<i64>| at.is_some_and(|at| at >= since);
        Ok(match (self.operation, stored) {
            (Operation::Delete, stored) => stored.is_none(),
            (Operation::Cancel, Some(job)) if job.state == State::Cancelled && since(job.cancelled_at) => {
                // The process that cancelled it may have crashed before the rest.
                self.engine.finish_again(&job).await?;
                true
            }
            (Operation::Retry, Some(job)) => since(job.retried_at),
            _ => false,
        })
    }
}
