use super::refuse;
use crate::engine::Engine;
use ojs_model::batch::BatchCommit;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::Job;

impl Engine {
    /// A job as of now (OJS core section 7.5): one strongly consistent read, another one while a job of a batch waits, and the
    /// queries for the results of steps before it. The message of a job that has waited for long is sent again.
    ///
    /// # Errors
    /// `not_found`; the AWS error.
    pub async fn get(&self, id: &JobId) -> Result<Job> {
        let stored = self.store.get_job(id).await?.ok_or_else(|| refuse::missing(id))?;
        if self.batch_commit(&stored).await? != BatchCommit::Committed {
            return Err(refuse::missing(id));
        }
        let now = self.now_ms();
        self.resend_if_long(&stored, now).await;
        let mut job = stored.as_of(now).into_owned();
        self.add_results(&mut job).await?;
        Ok(job)
    }
}
