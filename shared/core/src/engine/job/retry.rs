use super::dead_letters::Override;
use super::refuse;
use crate::engine::Engine;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Event, Job};

impl Engine {
    /// Makes a discarded job, dead letter or not, or one that waits for its next attempt available (bulk operations section
    /// 7): a read, the message, then one conditional update.
    ///
    /// # Errors
    /// `not_found`; `conflict` when the job is in another state; `duplicate` when another job has its unique key by now; the
    /// AWS error, after which a repetition does no harm.
    pub async fn retry_job(&self, id: &JobId) -> Result<Job> {
        let refused = |why: Option<(&Job, &_)>| match why {
            Some((job, refusal)) => refuse::conflict(job, refusal, "retry", "discarded or retryable", self.now_ms()),
            None => refuse::missing(id),
        };
        self.retry_as(id, Event::Retry, &Override::default(), refused).await
    }
}
