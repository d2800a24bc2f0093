use std::sync::Arc;

use super::Engine;
use crate::error::Result;
use crate::queue::QueueState;

impl Engine {
    /// Pauses a queue (HTTP binding section 11.3): fetches answer nothing from it, on every instance within a second. Jobs
    /// may still be enqueued, and active ones go on. A queue that nobody has used is made known.
    ///
    /// # Errors
    /// The AWS error; it may be paused. A repetition does no harm.
    pub async fn pause_queue(&self, name: &str) -> Result<QueueState> {
        let now = self.now_ms();
        let state = self.store.pause_queue(name, now).await?;
        self.known.note_state(name, Arc::new(state.clone()), now);
        tracing::info!(queue = name, "queue paused");
        Ok(state)
    }

    /// Resumes a queue (HTTP binding section 11.4), on every instance within a second.
    ///
    /// # Errors
    /// The AWS error; it may be resumed. A repetition does no harm.
    pub async fn resume_queue(&self, name: &str) -> Result<QueueState> {
        let now = self.now_ms();
        let state = self.store.resume_queue(name, now).await?;
        self.known.note_state(name, Arc::new(state.clone()), now);
        tracing::info!(queue = name, "queue resumed");
        Ok(state)
    }
}
