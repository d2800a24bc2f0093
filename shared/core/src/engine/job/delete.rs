use std::sync::Arc;

use super::refuse;
use super::transition::{Decided, Transition, must_fit};
use crate::engine::{Engine, MAX_RACES};
use crate::store::{Deletable, Deleted};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Job, Refusal};

impl Engine {
    /// Deletes a job that has ended, for good (bulk operations section 8): one conditional delete. If its end entails more than
    /// the job, that is finished first; for a unique job then a read of its lock and one transaction that takes both.
    ///
    /// What only the clock has ended is first written down as ended, so that all that follows from its end happens.
    ///
    /// # Errors
    /// `not_found`; `conflict` when the job has not ended; the AWS error, after which it may be gone.
    pub async fn delete_job(&self, id: &JobId) -> Result<()> {
        match self.store.delete_ended(id, Deletable::Ended).await? {
            Deleted::Done => {}
            Deleted::Missing => return Err(refuse::missing(id)),
            Deleted::Refused(job) => self.finish_and_delete(*job).await?,
        }
        tracing::info!(job_id = %id, "job deleted");
        Ok(())
    }

    /// Deletes a job that the fast delete has refused, once all that its end entails is done.
    ///
    /// # Errors
    /// As [`Self::delete_job`].
    pub(super) async fn finish_and_delete(&self, mut stored: Job) -> Result<()> {
        let now = self.now_ms();
        let id = &stored.id.clone();
        for _ in 0..MAX_RACES {
            let written = self.transition(stored, must_fit("an end"), async |stored: Arc<Job>| {
                let current = stored.as_of(now);
                if !current.state.is_terminal() {
                    let refusal = Refusal::State(current.state);
                    return Err(refuse::conflict(&stored, &refusal, "delete", "terminal", now));
                }
                let current_job = Box::new(current.as_ref().clone());
                Ok(if stored.state.is_terminal() { Decided::Answer(current_job) } else { Decided::Write(current_job) })
            });
            stored = match written.await? {
                Transition::Written { before, after } => {
                    let receipt = before.lease.as_ref().and_then(|lease| lease.receipt.as_ref());
                    self.after_terminal(&after, receipt).await;
                    *after
                }
                Transition::Answered(job) => *job,
            };
            // The process that ended it may have crashed before the rest.
            self.finish_before_deletion(&stored).await?;
            if self.delete_as_read(&stored).await? {
                return Ok(());
            }
            stored = self.store.get_job(id).await?.ok_or_else(|| refuse::missing(id))?;
        }
        Err(refuse::raced(id))
    }

    /// Deletes a job if it is as it was read, and with it the lock that it holds. `false` when it has changed.
    async fn delete_as_read(&self, stored: &Job) -> Result<bool> {
        let lock = match &stored.unique_key {
            Some(key) => self.store.get_lock(key).await?.filter(|lock| lock.job == stored.id),
            None => None,
        };
        match lock {
            Some(lock) => self.store.unlock_new_job(stored, &lock, self.ids.nonce()).await,
            None => self.store.undo_put(stored).await,
        }
    }
}
