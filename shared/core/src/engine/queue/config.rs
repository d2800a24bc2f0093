use std::sync::Arc;

use crate::engine::Engine;
use ojs_model::error::Result;
use ojs_model::queue::{QueueConfig, QueueState};

impl Engine {
    /// Configures a queue (queue configuration section 9), in force on every instance within a second. A queue that no client
    /// has used is made known.
    ///
    /// # Errors
    /// The AWS error; it may be configured. A repetition does no harm.
    pub async fn configure_queue(&self, name: &str, config: &QueueConfig) -> Result<QueueState> {
        let now = self.now_ms();
        self.register_queue(name).await?;
        let state = self.store.configure_queue(name, config).await?;
        self.queue_cache.note_state(name, Arc::new(state.clone()), now);
        tracing::info!(queue = name, "queue configured");
        Ok(state)
    }

    /// A queue's state and configuration: one strongly consistent read.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_queue(&self, name: &str) -> Result<QueueState> {
        let found = self.store.queue_states(&[name]).await?;
        Ok(found.into_iter().next().map(|(_, state)| state).unwrap_or_default())
    }
}
