//! Batch enqueue (JSON format section 10): many jobs in one request, all or none. Pure.
//!
//! DynamoDB's transactions hold 100 writes, so a batch is an item of its own: its jobs are written while it is open, and are
//! there for everybody from the one write that commits it.

mod outcome;
mod parse;

pub use outcome::{BatchCommit, BatchState, batch_commit};
pub use parse::{Entry, MAX_BATCH_JOBS, MAX_BATCH_QUEUES, check_queues, parse_batch, parse_jobs, place};

use crate::ids::JobId;

/// How long a batch may stay open before a tick aborts it, ms: longer than any request runs.
pub const OPEN_MS: i64 = 60_000;

/// How long an aborted one is remembered, ms: longer than any request may hang. What such a one writes late goes
/// then.
pub const ABORTED_MS: i64 = 3_600_000;

/// A batch under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its id; of the same form as a job's.
    pub id: JobId,
    /// Its jobs, in their order.
    pub jobs: Vec<JobId>,
    /// How far it is.
    pub state: BatchState,
    /// When a tick resumes it, ms since the Unix epoch.
    pub due_at: i64,
}
