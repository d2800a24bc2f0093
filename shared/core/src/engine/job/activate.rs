use super::effects::Wake;
use super::refuse;
use crate::engine::{Engine, MAX_RACES};
use crate::store::Updated;
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Event, Job, step};

impl Engine {
    /// Releases a pending job (HTTP binding section 9.5): a read, the message, then one conditional update.
    ///
    /// # Errors
    /// `not_found`; `conflict` when the job is not pending; the AWS error, and then the job is still pending or its
    /// repetition answers `conflict`.
    pub async fn activate(&self, id: &JobId) -> Result<Job> {
        let now = self.now_ms();
        let mut stored = self.store.get_job(id).await?.ok_or_else(|| refuse::missing(id))?;
        for _ in 0..MAX_RACES {
            let mut change = step(&stored, Event::Activate, now)
                .map_err(|refusal| refuse::conflict(&stored, &refusal, "activate", "pending", now))?;
            change.job.in_due_index = self.wake(change.job.due_at, now) == Wake::DueIndex;
            self.announce(&change.job, now).await?;
            match self.replace(&stored, &change.job).await? {
                Updated::Done(job) => {
                    tracing::info!(job_id = %id, "job activated");
                    return Ok(*job);
                }
                Updated::Refused(newer) => stored = *newer,
                Updated::Missing => return Err(refuse::missing(id)),
                Updated::TooLarge => return Err(Error::internal("an activation does not fit its job")),
            }
        }
        Err(refuse::raced(id))
    }
}
