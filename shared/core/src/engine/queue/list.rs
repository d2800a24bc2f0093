use crate::engine::Engine;
use crate::store::QueueEntry;
use ojs_model::error::Result;

/// A page of queues by name.
#[derive(Debug, Clone)]
pub struct QueuePage {
    /// The queues.
    pub queues: Vec<QueueEntry>,
    /// The name after which the next page starts; `None` on the last.
    pub next: Option<String>,
}

impl Engine {
    /// Queues that have been used, by name (HTTP binding section 11.1): one query of `limit` entries.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_queues(&self, after: Option<&str>, limit: usize) -> Result<QueuePage> {
        // One more than asked: DynamoDB names a next key after a full page even where nothing follows.
        let read = i32::try_from(limit + 1).unwrap_or(i32::MAX);
        let (mut queues, _) = self.store.list_queues(after, read).await?;
        let more = queues.len() > limit;
        queues.truncate(limit);
        let next = if more { queues.last().map(|q| q.name.clone()) } else { None };
        Ok(QueuePage { queues, next })
    }
}
