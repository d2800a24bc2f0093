use super::QueueState;

/// How many jobs a queue has, by state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueStats {
    /// Paused or not, and since when.
    pub state: QueueState,
    /// Jobs that have not ended.
    pub live: Live,
    /// Jobs that have ended since the queue was first used, also those that are forgotten by now.
    pub ended: Ended,
    /// When this was so, ms since the Unix epoch.
    pub computed_at: i64,
}

/// Jobs that have not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// Ready to be fetched.
    pub available: u64,
    /// Held by workers.
    pub active: u64,
    /// Waiting for their time.
    pub scheduled: u64,
    /// Waiting for their next attempt; `None` where they cannot be told from `scheduled`.
    pub retryable: Option<u64>,
    /// Waiting to be activated; `None` where they cannot be told.
    pub pending: Option<u64>,
    /// Whether each job was looked at. If not, these are SQS's approximate numbers of messages.
    pub exact: bool,
}

/// Jobs that have ended, by how they did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Acked.
    pub completed: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Given up.
    pub discarded: u64,
}
