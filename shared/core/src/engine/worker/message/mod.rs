//! Looks at one message: claims its job, or says whether the fetch deletes the message, puts it back or keeps it in hand.

mod carry_out;
mod limited;
mod occurrence;

pub(in crate::engine) use limited::queue_key;

use std::collections::HashMap;
use std::time::Duration;

use crate::engine::limit::rest::rest_s;
use crate::engine::{Engine, Fetch};
use crate::observe::{metrics, trace};
use crate::store::{ClaimRequest, Updated};
use crate::transport::Received;
use occurrence::Occurrence;
use ojs_model::error::{ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::Job;
use ojs_model::limit::Limits;
use ojs_model::message::{
    Disposition, JobRef, MAX_DELAY_S, MAX_HIDDEN_S, PENDING_HIDE_S, PUT_BACK_S, SOON_MS, is_young,
};
use ojs_model::queue::QueueConfig;

/// A message received more often than this makes way for a new one: SQS takes one for poison after 1,000 receives, and
/// a long outage, a worker that keeps giving its job back, or many lapses must not bring a live job there.
const MAX_RECEIVES: i64 = 500;
/// A message older than this makes way for a new one when it is put back, ms: SQS deletes it after 14 days.
const OLD_MS: i64 = 7 * 86_400_000;
/// How long a put may take longer than the send that runs beside it.
const OVERTAKEN: Duration = Duration::from_millis(30);

/// What came of a look at a message. The fetch settles the messages of one receive together: see [`Job::as_of`](crate::engine::worker).
pub(in crate::engine) enum Handled {
    /// Its job is the worker's; hidden for so many seconds from now, where the receive hides it for too long or too short.
    Won(Box<Job>, Option<i64>),
    /// Its job is due at this ms, within [`SOON_MS`].
    Soon(i64),
    /// A rate limit keeps its job from starting, for less than a second: returned when the fetch is over, so that it does
    /// not receive it again.
    Kept,
    /// A rate limit keeps its job from starting, and its message is settled.
    Limited,
    /// A rate limit keeps its job from starting: to be put back for so many seconds.
    LimitedFor(i64),
    /// The limit with this key keeps its job from starting, which is parked: to be deleted once the limit's state says so.
    Parked(Box<(String, Limits)>),
    /// A limit of the whole queue keeps all its jobs from starting.
    Shut,
    /// Settled, or left to be.
    Gone,
    /// It means nothing any more: to be deleted.
    Stale,
    /// To be put back for so many seconds.
    Back(i64),
}

impl Handled {
    fn back(hidden_s: i64) -> Self {
        Self::Back(hidden_s.clamp(PUT_BACK_S, MAX_HIDDEN_S))
    }

    /// Of a message that needs no job.
    fn of(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Keep { due_at_ms } => Self::Soon(due_at_ms),
            Disposition::Hide { seconds } => Self::Back(seconds),
            _ => Self::Stale,
        }
    }
}

/// A fetch, as its messages see it.
#[derive(Clone, Copy)]
pub(in crate::engine) struct MessageHandler<'a> {
    pub(in crate::engine) engine: &'a Engine,
    pub(in crate::engine) fetch: &'a Fetch,
    /// How long the receive has hidden the messages, s.
    pub(in crate::engine) hidden_s: i64,
    /// Configurations of the queues that have one.
    pub(in crate::engine) configs: &'a HashMap<&'a str, QueueConfig>,
}

impl MessageHandler<'_> {
    /// Claims the job of one message, or says what to do with the message. `read` is what a read just now says of the job,
    /// as a refused claim would.
    ///
    /// # Errors
    /// The AWS error; the message is to be put back.
    pub(in crate::engine) async fn handle(&self, message: &Received, read: Option<Updated>) -> Result<Handled> {
        if message.receives > MAX_RECEIVES {
            return self.renew(message).await;
        }
        // Ten of them at once are large, and live on the stack of a debug build.
        let handled = Box::pin(self.claim(message, read)).await?;
        match handled {
            Handled::Back(hidden_s) if self.is_old(message) => self.renew_hidden(message, hidden_s).await,
            Handled::Won(mut job, hidden_s) => match Box::pin(self.engine.add_results(&mut job)).await {
                Ok(()) => Ok(Handled::Won(job, hidden_s)),
                Err(error) => {
                    // The worker must not take it for a job without results.
                    self.engine.unclaim(std::slice::from_ref(&job)).await;
                    Err(error)
                }
            },
            handled => Ok(handled),
        }
    }

    /// A new message takes the place of an old one that is to be hidden, before SQS drops the old one for its age.
    async fn renew_hidden(&self, message: &Received, hidden_s: i64) -> Result<Handled> {
        if let Some(job) = &message.job {
            self.engine.transport.send(&message.sqs_queue, job, hidden_s.min(MAX_DELAY_S)).await?;
        }
        Ok(Handled::Stale)
    }

    /// A new message for the same job takes the place of one that has been received too often.
    async fn renew(&self, message: &Received) -> Result<Handled> {
        if let Some(job) = &message.job {
            tracing::warn!(job_id = %job.id, queue = message.sqs_queue.queue, receives = message.receives, "message renewed");
            // To where it came from: a job that has moved has a message of its own there.
            self.engine.transport.send(&message.sqs_queue, job, 0).await?;
        }
        Ok(Handled::Stale)
    }

    async fn claim(&self, message: &Received, read: Option<Updated>) -> Result<Handled> {
        let engine = self.engine;
        let Some(JobRef { id, due_at, limit, wakes, .. }) = message.job.clone() else {
            tracing::warn!(queue = message.sqs_queue.queue, "foreign message dropped");
            return Ok(Handled::Stale);
        };
        // SQS delays for whole seconds, so the message of a job that waits comes a little early.
        if let Some(due) = due_at.filter(|due| *due > engine.now_ms()) {
            return Ok(self.not_yet(due));
        }
        let config = self.config(message);
        if let Some(limited) = limit.as_deref().and_then(|key| self.known_refusal(key, message)) {
            return Ok(self.wait_for_limit(&limited));
        }
        let request = ClaimRequest {
            worker: self.fetch.worker_id.clone(),
            token: engine.ids.lease_token(),
            visibility_ms: self.fetch.visibility_ms,
            default_visibility_ms: config
                .visibility_timeout
                .map_or(engine.settings.visibility_timeout_ms, |seconds| seconds * 1_000),
            default_timeout_ms: config.default_timeout.map(|seconds| seconds * 1_000),
            retention: config.retention,
            receipt: message.receipt(),
        };
        // The fast claim knows no limits.
        let limited = limit.is_some() || !config.limits.is_empty();
        // The first fetch that receives the message makes the occurrence's job; later deliveries find it made.
        let mut occurrence = None;
        if let Some(time) = wakes.as_ref().filter(|_| message.receives == 1) {
            occurrence = Some(self.make_occurrence(message, time).await?);
        }
        if let Some(Occurrence::Handled(handled)) = occurrence {
            return Ok(handled);
        }
        let mut claimed = match read {
            Some(read) => read,
            None => self.try_claim(&id, message, &request, limited).await?,
        };
        if let Some(time) = &wakes {
            if matches!(claimed, Updated::Missing) && occurrence.is_none() {
                occurrence = Some(self.make_occurrence(message, time).await?);
                if let Some(Occurrence::Handled(handled)) = occurrence {
                    return Ok(handled);
                }
                claimed = self.try_claim(&id, message, &request, limited).await?;
            }
            if matches!(claimed, Updated::Missing) {
                // The occurrence is over and made no job, or its job is forgotten, or the cron job is deleted.
                return Ok(Handled::Stale);
            }
        } else if matches!(claimed, Updated::Missing) && self.is_new(message) {
            // Put and send run at once, and the send has won: one more look is cheaper than a second's delay.
            engine.clock.sleep(OVERTAKEN).await;
            claimed = self.try_claim(&id, message, &request, limited).await?;
        }
        match claimed {
            Updated::Done(job) => Ok(self.won(*job)),
            Updated::Refused(stored) => self.refused(*stored, &request, message).await,
            // Computed from the item, the claim makes room by shortening its history.
            Updated::TooLarge => match engine.store.get_job(&id).await? {
                Some(stored) => self.refused(stored, &request, message).await,
                None => Ok(self.orphan(message)),
            },
            Updated::Missing => Ok(self.orphan(message)),
        }
    }

    /// How long a message rests whose job could not be asked for, s.
    pub(in crate::engine) fn rest_s(&self, message: &Received, code: ErrorCode) -> i64 {
        let has_limit =
            !self.config(message).limits.is_empty() || message.job.as_ref().is_some_and(|job| job.limit.is_some());
        rest_s(code, message.receives, has_limit)
    }

    /// The configuration of a message's queue.
    fn config(&self, message: &Received) -> QueueConfig {
        self.configs.get(message.sqs_queue.queue.as_str()).copied().unwrap_or_default()
    }

    /// The fast claim; with a limit to be asked before, a read in its place. When its answer is lost for good, one read
    /// tells whether it took effect: the job would idle under a lease that no worker knows.
    async fn try_claim(
        &self,
        id: &JobId,
        message: &Received,
        request: &ClaimRequest,
        limited: bool,
    ) -> Result<Updated> {
        let engine = self.engine;
        if limited {
            let stored = engine.store.get_job(id).await?;
            return Ok(stored.map_or(Updated::Missing, |stored| Updated::Refused(Box::new(stored))));
        }
        match engine.store.claim_job(id, &message.sqs_queue.queue, request, engine.now_ms()).await {
            Err(error) => match engine.store.get_job(id).await {
                Ok(Some(job)) if job.lease.as_ref().is_some_and(|lease| lease.token == request.token) => {
                    Ok(Updated::Done(Box::new(job)))
                }
                _ => Err(error),
            },
            claimed => claimed,
        }
    }

    /// The item has no room for what must be written; the job stays as it is until an operator mends it.
    fn does_not_fit(job: &Job) -> Handled {
        tracing::error!(job_id = %job.id, "the job's item is full; it cannot be claimed");
        Handled::back(PENDING_HIDE_S)
    }

    /// The lease is durable; the message must come back when it ends, unless it does so anyway.
    fn won(&self, job: Job) -> Handled {
        let now = self.engine.now_ms();
        let mut hidden_s = None;
        if let Some(lease) = &job.lease {
            let ends_s = ((lease.ends_at_ms() - now) / 1_000).clamp(1, MAX_HIDDEN_S);
            // A message that comes back before the lease's end is hidden again by the fetch that receives it. One second less
            // than the receive's is the time that this fetch itself took.
            // On a FIFO queue it must not come back before: only the latest receipt deletes it.
            let too_short = self.engine.transport.is_fifo() && ends_s > self.hidden_s;
            if ends_s < self.hidden_s - 1 || too_short {
                hidden_s = Some(ends_s);
            }
        }
        metrics::job_started(&job, now);
        trace::meet(&job);
        let worker_id = job.lease.as_ref().and_then(|lease| lease.worker.as_deref());
        tracing::info!(job_id = %job.id, queue = job.queue, attempt = job.attempt, worker_id, "job claimed");
        Handled::Won(Box::new(job), hidden_s)
    }

    /// Kept in hand for a second at most, else put back. Never deleted: it may be the only message that the job has.
    fn not_yet(&self, at_ms: i64) -> Handled {
        Handled::of(Disposition::not_yet(at_ms, self.engine.now_ms()))
    }

    /// No such job: the put may still be on its way, or was never made.
    fn orphan(&self, message: &Received) -> Handled {
        if !is_young(message.sent_at_ms, self.engine.now_ms()) {
            tracing::info!(queue = message.sqs_queue.queue, "message of a missing job dropped");
        }
        Handled::of(Disposition::delete_unless_young(message.sent_at_ms, self.engine.now_ms()))
    }

    /// Whether its put may still be under way.
    fn is_new(&self, message: &Received) -> bool {
        message.receives == 1 && self.engine.now_ms() - message.sent_at_ms < SOON_MS
    }

    fn is_old(&self, message: &Received) -> bool {
        self.engine.now_ms() - message.sent_at_ms > OLD_MS
    }
}
