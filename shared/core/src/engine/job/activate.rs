use std::sync::Arc;

use super::effects::Redelivery;
use super::refuse;
use super::transition::{Decided, Transition, must_fit};
use crate::engine::Engine;
use ojs_model::error::Result;
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
        let stored = self.store.get_job(id).await?.ok_or_else(|| refuse::missing(id))?;
        let activated = self.transition(stored, must_fit("an activation"), async |stored: Arc<Job>| {
            let mut change = step(&stored, Event::Activate, now)
                .map_err(|refusal| refuse::conflict(&stored, &refusal, "activate", "pending", now))?;
            change.job.in_due_index = self.redelivery(change.job.due_at, now) == Redelivery::DueIndex;
            self.send_before_change(&change.job, now).await?;
            Ok(Decided::Write(Box::new(change.job)))
        });
        match activated.await? {
            Transition::Written { after: job, .. } | Transition::Answered(job) => {
                tracing::info!(job_id = %id, "job activated");
                Ok(*job)
            }
        }
    }
}
