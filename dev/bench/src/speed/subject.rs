use crate::Outcome;

/// What can do the three operations: the engine, the bare calls, or the API.
pub(crate) trait Subject: Send + Sync + 'static {
    /// What a fetch answers and an ack needs.
    type Held: Send + 'static;

    /// Makes the queue and gets to know it.
    fn prepare(&self, queue: &str) -> impl Future<Output = Outcome<()>> + Send;
    /// Enqueues a job.
    fn enqueue(&self, queue: &str) -> impl Future<Output = Outcome<()>> + Send;
    /// Fetches a job; `None` when there is none.
    fn fetch(&self, queue: &str) -> impl Future<Output = Outcome<Option<Self::Held>>> + Send;
    /// Acks it.
    fn ack(&self, held: Self::Held) -> impl Future<Output = Outcome<()>> + Send;
}
