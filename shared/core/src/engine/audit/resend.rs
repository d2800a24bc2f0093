//! A job that has waited for long may have lost its message: whatever comes across such a job sends the message again. A message
//! too many does no harm, for the claim refuses it (I5).

use std::sync::{Mutex, PoisonError};

use crate::bounded::Bounded;
use crate::engine::Engine;
use crate::store::Updated;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Job, may_send_again};
use ojs_model::message::JobRef;
use ojs_model::message::MAX_DELAY_S;

/// A job that has been available for this long may have lost its message, ms.
pub(in crate::engine) const LONG_MS: i64 = 120_000;
/// Jobs that wait for each other are followed so far.
const MAX_IN_FRONT: usize = 10;

/// What this process has sent again, so that many looks do not make many messages. All of it may be forgotten at any time.
#[derive(Debug, Default)]
pub(in crate::engine) struct Resends {
    /// Since when each had waited when it was last sent, and how long, ms.
    sent: Mutex<Bounded<JobId, (i64, i64)>>,
}

impl Resends {
    /// Whether something that has waited since `since` (ms) is to be sent again, and notes that it is.
    fn begin(&self, id: &JobId, since: i64, now: i64) -> bool {
        let waited_ms = now - since;
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        // A job that waits anew, after a retry, starts over.
        let before_ms = sent.get(id).filter(|before| before.0 == since).map_or(0, |before| before.1);
        if !may_send_again(before_ms, waited_ms, LONG_MS) {
            return false;
        }
        sent.insert(id.clone(), (since, waited_ms));
        true
    }

    /// The send failed: the next look tries again.
    fn forget(&self, id: &JobId) {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Forgets everything; for the local stack's reset.
    pub(in crate::engine) fn clear(&self) {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What was done for jobs that may stand still.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::engine) struct Attended {
    /// Messages sent again.
    pub(in crate::engine) resent: usize,
    /// Jobs whose end by the clock was written down.
    pub(in crate::engine) ended: usize,
    /// Jobs that failed.
    pub(in crate::engine) failed: usize,
}

impl Engine {
    /// Sends the message of a stored job again if the job has been available for [`LONG_MS`]: then each time that it has waited
    /// twice as long. Where the job waits for another one, that one's message, if it has waited as long. A failure is only logged:
    /// the caller came for something else.
    pub(in crate::engine) async fn resend_if_long(&self, stored: &Job, now: i64) {
        if !self.is_long(stored, now) {
            return;
        }
        match self.first_in_front(stored, now).await {
            None => self.resend(stored).await,
            Some(first) if self.is_long(&first, now) => self.resend(&first).await,
            Some(_) => {}
        }
    }

    /// Whether a job has waited for long, and is to be sent again by this process.
    fn is_long(&self, stored: &Job, now: i64) -> bool {
        stored.waits_since(now).is_some_and(|since| self.resends.begin(&stored.id, since, now))
    }

    async fn resend(&self, job: &Job) {
        match self.send(&JobRef::to(job), 0).await {
            Ok(()) => tracing::info!(job_id = %job.id, queue = job.queue, "message resent: the job has waited long"),
            Err(error) => {
                self.resends.forget(&job.id);
                tracing::warn!(job_id = %job.id, %error, "message not resent");
            }
        }
    }

    /// The first of the jobs that have not ended and that a job waits for, one behind the other. `None` where it waits for none,
    /// or that cannot be read: then a message too many is sent.
    async fn first_in_front(&self, stored: &Job, now: i64) -> Option<Job> {
        let mut first: Option<Job> = None;
        for _ in 0..MAX_IN_FRONT {
            let Some(on) = first.as_ref().unwrap_or(stored).waits_for.clone() else { break };
            match self.last_that_ran(&on, now).await {
                Ok(Some(previous)) if !previous.as_of(now).state.is_terminal() => first = Some(previous),
                _ => break,
            }
        }
        first
    }

    /// The same for many jobs. Ends that the clock has made are written down, and what follows from them is done (I9).
    pub(in crate::engine) async fn attend_long(&self, stored: &[Job], now: i64) -> Attended {
        self.attend(stored, now, |job| self.is_long(job, now)).await
    }

    /// Sends the messages of those jobs again for which `again` says so, ten a call, and writes down ends that the clock has made.
    /// A job that fails is logged and passed over (I7).
    pub(in crate::engine) async fn attend(&self, stored: &[Job], now: i64, again: impl Fn(&Job) -> bool) -> Attended {
        let mut done = Attended::default();
        let mut standing = Vec::new();
        for job in stored {
            let current = job.as_of(now);
            if current.state.is_terminal() && !job.state.is_terminal() {
                match Box::pin(self.write_end(job, now)).await {
                    Ok(ended) => done.ended += usize::from(ended),
                    Err(error) => {
                        done.failed += 1;
                        tracing::warn!(job_id = %job.id, %error, "job's end not written");
                    }
                }
            } else if !current.state.is_terminal() && again(job) {
                let wait_ms = current.wakes_at_ms().map_or(0, |at| at - now);
                standing.push((job, (JobRef::to(job), (wait_ms / 1_000).clamp(0, MAX_DELAY_S))));
            }
        }
        let (jobs, messages): (Vec<_>, Vec<_>) = standing.into_iter().unzip();
        for (job, sent) in jobs.into_iter().zip(self.send_all(&messages).await) {
            match sent {
                Ok(()) => {
                    done.resent += 1;
                    tracing::info!(job_id = %job.id, queue = job.queue, "message resent: the job has waited long");
                }
                Err(error) => {
                    done.failed += 1;
                    self.resends.forget(&job.id);
                    tracing::warn!(job_id = %job.id, %error, "message not resent");
                }
            }
        }
        done
    }

    /// Writes down an end that the clock has made, and does what follows from it. `false` when the job has changed since it was
    /// read.
    async fn write_end(&self, stored: &Job, now: i64) -> Result<bool> {
        let Updated::Done(ended) = self.replace(stored, &stored.as_of(now)).await? else { return Ok(false) };
        tracing::info!(job_id = %ended.id, queue = ended.queue, expired = ended.is_expired(), "job discarded");
        let receipt = stored.lease.as_ref().and_then(|lease| lease.receipt.as_ref());
        self.after_terminal(&ended, receipt).await;
        Ok(true)
    }

    /// Moves a workflow on that has been running for long: steps that were not started are, and so is what follows from steps that
    /// have ended; steps whose jobs wait for long get their messages again. As often as [`Self::resend_if_long`]; a failure is only
    /// logged. Whether anything may have changed.
    pub(in crate::engine) async fn move_on_if_long(&self, id: &JobId, created_at: i64, now: i64) -> bool {
        if !self.resends.begin(id, created_at, now) {
            return false;
        }
        match Box::pin(self.resume_workflow(id)).await {
            Ok(open) => {
                self.attend_long(&open, now).await;
            }
            Err(error) => {
                self.resends.forget(id);
                tracing::warn!(workflow_id = %id, %error, "workflow not advanced");
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::MAX_ENTRIES;
    use ojs_model::ids::Ids;

    #[test]
    fn each_message_needs_twice_the_wait_of_the_one_before() {
        let (resends, id) = (Resends::default(), Ids::new().job_id(1_700_000_000_000));
        let sent: Vec<i64> = (0..100).filter(|minute| resends.begin(&id, 0, minute * 60_000)).collect();
        assert_eq!(sent, [2, 4, 8, 16, 32, 64]);
        assert!(resends.begin(&id, 1, LONG_MS + 1), "it waits anew");
        resends.forget(&id);
        assert!(resends.begin(&id, 1, LONG_MS + 1) && !resends.begin(&id, 1, LONG_MS + 1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (resends, ids) = (Resends::default(), Ids::new());
        for _ in 0..=MAX_ENTRIES {
            assert!(resends.begin(&ids.job_id(1_700_000_000_000), 0, LONG_MS));
        }
        assert!(resends.sent.lock().is_ok_and(|sent| sent.len() <= MAX_ENTRIES));
    }
}
