//! Carries out what [`disposition`] says of a message.

use super::limited::Refused;
use super::{Handled, MessageHandler};
use crate::engine::MAX_RACES;
use crate::engine::limit::acquire::Start;
use crate::store::{ClaimRequest, Updated};
use crate::transport::Received;
use ojs_model::batch::BatchCommit;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Job, Lease, State};
use ojs_model::message::{Disposition, MessageFacts, PUT_BACK_S, disposition};

/// How long at most the message of a job that waits for another one rests, s.
const MAX_BEHIND_S: i64 = 60;

impl MessageHandler<'_> {
    /// Does what the message means for its job, which was read or has refused the fast claim: decides anew whenever the job
    /// has changed in between.
    pub(super) async fn refused(&self, mut stored: Job, request: &ClaimRequest, message: &Received) -> Result<Handled> {
        let mut facts = self.facts(message);
        for _ in 0..MAX_RACES {
            let now = self.engine.now_ms();
            // Only on a FIFO queue, where jobs wait in the due index for seconds, can a message come before the commit.
            if facts.is_fifo {
                facts.batch = self.engine.batch_commit(&stored).await?;
            }
            let written = match disposition(&facts, &stored, lease(&stored, request, now), now) {
                Disposition::Claim(claimed) => {
                    match self.claim_limited(&stored, *claimed, request, message, now).await? {
                        Ok(written) => written,
                        Err(refused) => return self.limited(&stored, refused, message).await,
                    }
                }
                Disposition::End(ended) => self.engine.replace(&stored, &ended).await?,
                Disposition::MoveToDueIndex(Some(waiting)) => self.engine.replace(&stored, &waiting).await?,
                Disposition::AskPredecessor(on) => match self.rest_behind(&on, now).await? {
                    Some(rest_s) => return Ok(Handled::back(rest_s)),
                    None => {
                        facts.predecessor_ended = true;
                        continue;
                    }
                },
                Disposition::FinishEnd { hide } => return self.finish_end(&stored, hide).await,
                Disposition::MoveToDueIndex(None) | Disposition::Delete => return Ok(Handled::Stale),
                Disposition::Keep { due_at_ms } => return Ok(Handled::Soon(due_at_ms)),
                Disposition::Hide { seconds } => return Ok(Handled::Back(seconds)),
            };
            match written {
                Updated::Done(job) => return Ok(self.written(*job, message).await),
                Updated::Refused(newer) => stored = *newer,
                Updated::Missing => return Ok(self.orphan(message)),
                Updated::TooLarge => return Ok(Self::does_not_fit(&stored)),
            }
        }
        Ok(Handled::back(PUT_BACK_S))
    }

    fn facts<'m>(&self, message: &'m Received) -> MessageFacts<'m> {
        MessageFacts {
            queue: &message.sqs_queue.queue,
            sent_at_ms: message.sent_at_ms,
            is_fifo: self.engine.transport.is_fifo(),
            batch: BatchCommit::Committed,
            predecessor_ended: false,
        }
    }

    /// What follows from the write that a disposition asked for.
    async fn written(&self, job: Job, message: &Received) -> Handled {
        if job.state == State::Active {
            return self.won(job);
        }
        if job.state.is_terminal() {
            tracing::info!(job_id = %job.id, queue = job.queue, state = job.state.as_str(), expired = job.is_expired(), "job ended");
            self.engine.after_terminal(&job, Some(&message.receipt())).await;
            return Handled::Gone;
        }
        // It is in the due index, and the scheduler sends its next message.
        Handled::Stale
    }

    /// Claims a job under its limits: acquires them first, and rolls them back unless the claim is written.
    async fn claim_limited(
        &self,
        stored: &Job,
        mut claimed: Job,
        request: &ClaimRequest,
        message: &Received,
        now: i64,
    ) -> Result<std::result::Result<Updated, Refused>> {
        let starts = match self.start(&claimed, message, now).await? {
            Ok(starts) => starts,
            Err(refused) => return Ok(Err(refused)),
        };
        claimed.retention = request.retention;
        claimed.holds = starts.iter().filter_map(Start::held).map(str::to_owned).collect();
        let written = self.claim_computed(stored, &claimed).await;
        if !matches!(written, Ok(Updated::Done(_))) {
            self.engine.roll_back_slots(&starts).await;
        }
        written.map(Ok)
    }

    /// The same as the fast claim where the answer is lost.
    async fn claim_computed(&self, stored: &Job, claimed: &Job) -> Result<Updated> {
        let token = |job: &Job| job.lease.as_ref().map(|lease| lease.token.clone());
        match self.engine.replace(stored, claimed).await {
            Err(error) => match self.engine.store.get_job(&stored.id).await {
                Ok(Some(job)) if token(&job).is_some() && token(&job) == token(claimed) => {
                    Ok(Updated::Done(Box::new(job)))
                }
                _ => Err(error),
            },
            done => done,
        }
    }

    /// The job has ended: the process that ended it may have crashed before its workflow moved on or its lock was released.
    async fn finish_end(&self, ended: &Job, hide: bool) -> Result<Handled> {
        self.engine.advance_workflow(ended).await?;
        if hide {
            return Ok(Handled::back(PUT_BACK_S));
        }
        self.engine.release_lock(ended).await?;
        self.engine.release_slots(ended).await;
        Ok(Handled::Stale)
    }

    /// How long a job rests that waits for another one, s; `None` once that has ended. The end sends a message of its own,
    /// unless it is the clock that ends it: then it is written down here, before the next one starts.
    async fn rest_behind(&self, on: &JobId, now: i64) -> Result<Option<i64>> {
        let Some(previous) = self.engine.last_that_ran(on, now).await? else { return Ok(None) };
        let current = previous.as_of(now);
        if current.state.is_terminal() {
            if !previous.state.is_terminal()
                && let Updated::Done(ended) = self.engine.replace(&previous, &current).await?
            {
                self.engine.after_terminal(&ended, None).await;
            }
            return Ok(None);
        }
        self.engine.resend_if_long(&previous, now).await;
        let lease_s = current.lease.as_ref().map_or(MAX_BEHIND_S, |lease| (lease.ends_at_ms() - now) / 1_000);
        Ok(Some(lease_s.clamp(PUT_BACK_S, MAX_BEHIND_S)))
    }
}

/// The lease that a claim computed from a read takes; the fast claim builds the same in its update.
fn lease(job: &Job, request: &ClaimRequest, now: i64) -> Lease {
    let duration_ms = request.visibility_ms.or(job.visibility_timeout_ms).unwrap_or(request.default_visibility_ms);
    Lease {
        worker: request.worker.clone(),
        token: request.token.clone(),
        until_ms: now + duration_ms,
        duration_ms,
        deadline_ms: job.timeout_ms.or(request.default_timeout_ms).map_or(i64::MAX, |timeout| now + timeout),
        receipt: Some(request.receipt.clone()),
    }
}
