use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::audit::LONG_MS;
use ojs_model::error::Result;
use ojs_model::queue::QueueState;

/// Jobs that a resumption looks at; the audit looks at the others.
const RESUMED_JOBS: usize = 100;

impl Engine {
    /// Pauses a queue (HTTP binding section 11.3): fetches answer nothing from it, on every instance within a second. Jobs
    /// may still be enqueued, and active ones go on. A queue that has not been used is registered.
    ///
    /// # Errors
    /// The AWS error; it may be paused. A repetition does no harm.
    pub async fn pause_queue(&self, name: &str) -> Result<QueueState> {
        let now = self.now_ms();
        let state = self.store.pause_queue(name, now).await?;
        self.queue_cache.note_state(name, Arc::new(state.clone()), now);
        tracing::info!(queue = name, "queue paused");
        Ok(state)
    }

    /// Resumes a queue (HTTP binding section 11.4), on every instance within a second. After a pause of two minutes or longer the
    /// newest hundred jobs are looked at: those that have waited for long get their messages again, which SQS may have dropped.
    ///
    /// # Errors
    /// The AWS error; it may be resumed. A repetition does no harm.
    pub async fn resume_queue(&self, name: &str) -> Result<QueueState> {
        let now = self.now_ms();
        let state = self.store.resume_queue(name, now).await?;
        self.queue_cache.note_state(name, Arc::new(state.clone()), now);
        tracing::info!(queue = name, "queue resumed");
        if state.last_paused_at.is_some_and(|at| now - at >= LONG_MS)
            && let Err(error) = self.attend_newest(name, now).await
        {
            tracing::warn!(queue = name, %error, "jobs of a resumed queue not looked at; the audit does that");
        }
        Ok(state)
    }

    /// Sends the messages again of those of a queue's newest jobs that have waited for long.
    async fn attend_newest(&self, queue: &str, now: i64) -> Result<()> {
        if !self.store.has_listing() {
            return Ok(());
        }
        let ids = self.store.newest_jobs(queue, RESUMED_JOBS).await?;
        let jobs = self.only_committed(self.store.get_jobs(&ids).await?).await?;
        self.attend_long(&jobs, now).await;
        Ok(())
    }
}
