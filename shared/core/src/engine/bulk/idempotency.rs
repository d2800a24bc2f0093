//! Idempotency keys of bulk requests (bulk operations section 10).
//!
//! A request with a key has a record of its own ([`crate::store::Record`]), put before anything else happens. It belongs to
//! one *run* at a time, by the run's nonce, and holds the answer in the end. A request with the same key gets that
//! answer; while there is none it is told to wait, or, once the run has given up or is a minute old and so must be dead,
//! takes the record over and runs.
//!
//! **Enqueue makes no job twice, wherever a run crashes.** The record names the run's batch, and the transaction that commits
//! the batch writes the answer too, on the condition that the record is still the run's. So
//! * an answer is there if and only if the jobs are: there is nothing to be rebuilt, whatever has become of them since;
//! * a run whose record was taken over cannot commit any more, however late its calls arrive;
//! * what it has written beside can never be seen, and is aborted by the run that takes over, or by a tick.
//!
//! **Cancel, retry and delete** change one job at a time. A run that takes over does again what its predecessor may have
//! done, but looks at each job first: one that was cancelled or retried since the first run began, or is not there to be
//! deleted any more, counts as done and is left alone. What a filter has found is written into the record before the first
//! of them changes, because afterwards they would not match.

use crate::engine::Engine;
use crate::store::{Begun, Ticket};
use ojs_model::batch::{ABORTED_MS, OPEN_MS};
use ojs_model::bulk::{Answer, IdempotencyKey, Operation};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;

/// How long a run may take before it is taken for dead, ms: as long as the batch that it may have opened stays open.
const RUN_MS: i64 = OPEN_MS;

/// The answer to a bulk request.
#[derive(Debug, Clone)]
pub struct BulkAnswer {
    /// What it is.
    pub answer: Answer,
    /// Whether an earlier request with the same idempotency key made it.
    pub replayed: bool,
}

impl BulkAnswer {
    pub(in crate::engine) fn fresh(answer: Answer) -> Self {
        Self { answer, replayed: false }
    }
}

/// A run that may begin.
pub(in crate::engine) struct Run {
    /// The key, and who has it.
    pub(in crate::engine) ticket: Ticket,
    /// When the first run of the request began, ms since the Unix epoch, unless this is the first.
    pub(in crate::engine) resumed_from: Option<i64>,
    /// What the run before has written down.
    pub(in crate::engine) plan: Option<String>,
}

/// What becomes of a request with a key.
pub(in crate::engine) enum Admitted {
    /// It runs.
    Run(Run),
    /// It has run.
    Answered(BulkAnswer),
}

impl Engine {
    /// Looks a key up, and begins a run if there is no answer yet: one conditional put; two writes to take a run over.
    ///
    /// # Errors
    /// `conflict` when the key was another request's, or when that request is still under way (with the time to wait); the
    /// AWS error.
    pub(in crate::engine) async fn admit(
        &self,
        operation: Operation,
        key: &IdempotencyKey,
        fingerprint: [u8; 32],
        plan: Option<&str>,
        now: i64,
    ) -> Result<Admitted> {
        let ticket = Ticket::new(operation, key, self.ids.nonce());
        let record = match self.store.begin_request(&ticket, fingerprint, plan, now).await? {
            Begun::New => return Ok(Admitted::Run(Run { ticket, resumed_from: None, plan: None })),
            Begun::There(record) => *record,
        };
        if record.fingerprint != fingerprint {
            return Err(other_request());
        }
        if let Some(answer) = record.answer {
            return Ok(Admitted::Answered(BulkAnswer { answer, replayed: true }));
        }
        let left_ms = record.started_at + RUN_MS - now;
        if left_ms > 0 {
            return Err(under_way(left_ms));
        }
        if !self.store.take_over_request(&ticket, record.nonce, plan, now).await? {
            return Err(under_way(RUN_MS.min(1_000)));
        }
        tracing::warn!(
            operation = operation.as_str(),
            "a bulk request whose run has ended without an answer runs again"
        );
        Ok(Admitted::Run(Run { ticket, resumed_from: Some(record.first_at), plan: record.plan }))
    }

    /// Ends a run: its answer is kept, or the next run need not wait. Where that cannot be written the answer stands all
    /// the same, and a repetition runs again after a minute.
    pub(in crate::engine) async fn end_run(&self, run: &Run, answer: Result<Answer>) -> Result<BulkAnswer> {
        let kept = match &answer {
            Ok(answer) => self.store.answer_request(&run.ticket, answer).await,
            Err(_) => self.store.give_up_request(&run.ticket).await,
        };
        if let Err(error) = kept {
            tracing::warn!(operation = run.ticket.operation.as_str(), %error, "bulk request's outcome not stored");
        }
        answer.map(BulkAnswer::fresh)
    }

    /// Undoes what a run that can commit no more has written. The batch's mark stays for a tick, so that what arrives
    /// late is not seen either.
    pub(in crate::engine) async fn abort_batch(&self, id: &JobId) -> Result<()> {
        match self.store.get_batch(id).await? {
            Some(batch) if self.store.abort_batch(id, self.now_ms() + ABORTED_MS).await? => {
                self.drop_jobs(&batch).await
            }
            _ => Ok(()),
        }
    }
}

fn conflict(message: &str) -> Error {
    Error::new(ErrorCode::Conflict, message)
}

/// The key of a request names another one.
pub(in crate::engine) fn other_request() -> Error {
    conflict("The idempotency key was used for another request.").with("reason", "other_request")
}

fn under_way(left_ms: i64) -> Error {
    let seconds = u32::try_from((left_ms + 999) / 1_000).unwrap_or(1);
    conflict("A request with this idempotency key is under way.").with("reason", "under_way").retry_after(seconds)
}
