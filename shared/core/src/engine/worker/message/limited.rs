//! What a rate limit makes of a message: its job starts under it, waits with its message or parked, is rescheduled or dropped.

use super::{Handled, MessageHandler};
use crate::engine::job::effects::Redelivery;
use crate::engine::limit::acquire::{HOLD_MS, Start};
use crate::store::Updated;
use crate::transport::Received;
use ojs_model::error::Result;
use ojs_model::job::{Job, Lease, State};
use ojs_model::limit::{Limited, OnLimit, Place, Waiting};
use ojs_model::message::PUT_BACK_S;

/// Reschedule delay when the limit does not say when it will allow a start, ms.
const RESCHEDULE_MS: i64 = 5_000;
/// A message is put back for this long at most because of a limit, s: an operator may lift it.
const MAX_LIMITED_S: i64 = 60;

impl MessageHandler<'_> {
    /// Asks the limits of a job's queue and its own for a start; all must grant it.
    pub(super) async fn start(
        &self,
        claimed: &Job,
        message: &Received,
        now: i64,
    ) -> Result<std::result::Result<Vec<Start>, Refused>> {
        let config = self.config(message);
        let of_queue = (!config.limits.is_empty()).then(|| (queue_key(&message.sqs_queue.queue), config.limits, None));
        let own = claimed.limit.as_ref().map(|own| (own.key.to_string(), own.limits, Some(own.on_limit)));
        // Believed for a while only: should this process die before the claim, its slots are free soon.
        let until = claimed.lease.as_ref().map_or(now, Lease::ends_at_ms).min(now + HOLD_MS);
        let holder = claimed.holder(claimed.attempt);
        let mut starts = Vec::new();
        for (key, limits, on_limit) in of_queue.into_iter().chain(own) {
            match self.engine.acquire_slot(&key, &limits, &holder, until, now).await {
                Ok(Ok(start)) => starts.push(start),
                Ok(Err(limited)) => {
                    self.engine.roll_back_slots(&starts).await;
                    return Ok(Err(Refused { key, limited, on_limit }));
                }
                Err(error) => {
                    self.engine.roll_back_slots(&starts).await;
                    return Err(error);
                }
            }
        }
        Ok(Ok(starts))
    }

    /// A limit keeps the job from starting: what its policy wants then (rate limiting section 6.2).
    pub(super) async fn limited(&self, stored: &Job, refused: Refused, message: &Received) -> Result<Handled> {
        let (engine, now) = (self.engine, self.engine.now_ms());
        let Refused { key, limited, on_limit } = refused;
        let mut changed = stored.as_of(now).into_owned();
        match on_limit {
            // Of the queue: none of its jobs can start.
            None => return Ok(Handled::Shut),
            Some(OnLimit::Wait) => return self.park_or_wait(stored, &key, &limited, message).await,
            Some(OnLimit::Reschedule) => {
                changed.reschedule(start_at(&limited).unwrap_or(now + RESCHEDULE_MS));
                changed.in_due_index = engine.redelivery(changed.due_at, now) == Redelivery::DueIndex;
            }
            Some(OnLimit::Drop) => changed.drop_for_limit(&key, now),
        }
        let Updated::Done(job) = engine.replace(stored, &changed).await? else {
            return Ok(Handled::back(PUT_BACK_S));
        };
        tracing::info!(job_id = %job.id, key, state = job.state.as_str(), "job kept from starting by its rate limit");
        let receipt = message.receipt();
        match job.state {
            State::Scheduled => engine.after_retry(&job, Some(&receipt), now).await?,
            _ => engine.after_terminal(&job, Some(&receipt)).await,
        }
        Ok(Handled::Limited)
    }

    /// The refusal that is remembered of a key, where it decides: a job that may have to be parked is read first.
    pub(super) fn known_refusal(&self, key: &str, message: &Received) -> Option<Limited> {
        let now = self.engine.now_ms();
        let limited = self.engine.limit_cache.refusal(key, now)?;
        let parks = self.waiting(key, &limited, Place::Queue, message, now).parks();
        (!parks).then_some(limited)
    }

    fn waiting(&self, key: &str, limited: &Limited, place: Place, message: &Received, now: i64) -> Waiting {
        Waiting {
            on_limit: OnLimit::Wait,
            is_fifo: self.engine.transport.is_fifo(),
            receives: message.receives,
            is_behind_parked: self.engine.limit_cache.has_parked(key),
            place,
            wait_ms: start_at(limited).map(|at| at - now),
        }
    }

    /// The job waits for its limit: for a while with its message, then without.
    async fn park_or_wait(&self, stored: &Job, key: &str, limited: &Limited, message: &Received) -> Result<Handled> {
        let (engine, now) = (self.engine, self.engine.now_ms());
        let Some(policy) = &stored.limit else { return Ok(self.wait_for_limit(limited)) };
        let place = match &stored.parked {
            None => Place::Queue,
            Some(parked) if parked.send_at_ms > now => Place::Released,
            Some(_) => Place::Parked,
        };
        if !self.waiting(key, limited, place, message, now).parks() {
            return Ok(self.wait_for_limit(limited));
        }
        if !engine.park(stored, key, now).await? {
            return Ok(Handled::back(PUT_BACK_S));
        }
        tracing::debug!(job_id = %stored.id, key, "job parked: it waits for its rate limit");
        Ok(Handled::Parked(Box::new((key.to_owned(), policy.limits))))
    }

    /// The message comes back when the limit is expected to let its job start; a job that waits for a slot is looked at
    /// again in a second.
    pub(super) fn wait_for_limit(&self, limited: &Limited) -> Handled {
        let now = self.engine.now_ms();
        match start_at(limited).map_or(PUT_BACK_S, |at| (at - now) / 1_000) {
            0 => Handled::Kept,
            wait_s => Handled::LimitedFor(wait_s.clamp(PUT_BACK_S, MAX_LIMITED_S)),
        }
    }
}

/// Why a job cannot start.
pub(super) struct Refused {
    key: String,
    limited: Limited,
    /// What its policy wants; `None` for a limit of the queue.
    on_limit: Option<OnLimit>,
}

/// The key of a queue's own limits; no client can name it.
pub(in crate::engine) fn queue_key(queue: &str) -> String {
    format!("@queue:{queue}")
}

/// When a job may start at the earliest, if that is known, ms since the Unix epoch.
fn start_at(limited: &Limited) -> Option<i64> {
    match limited {
        Limited::Until(at) => Some(*at),
        Limited::Closed { until } => *until,
        Limited::Full { .. } => None,
    }
}
