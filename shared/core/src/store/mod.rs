//! DynamoDB: the truth. One file per item kind; keys are built in [`keys`] only; every state change is one
//! conditional write that names what it saw.
//!
//! The SDK's futures are large, and those of an operation lie inside each other: each call is boxed.

#[cfg(test)]
mod attribute_docs;
mod batch;
mod cron;
mod dynamo;
mod idempotency;
mod index;
mod job;
pub mod keys;
mod limit;
mod lock;
mod progress;
mod queue;
pub mod table;
mod walk;
mod worker;
mod workflow;

pub use batch::{Committed, Replacement};
pub use cron::due::CronDueEntry;
pub use cron::fire::{Fired, Firing};
pub use cron::list::CronList;
pub use cron::replace::CronUpdated;
pub use dynamo::unconditional::NewPut;
pub use idempotency::{Begun, Record, Ticket};
pub use index::dead_letter::DeadLetterPosition;
pub use index::due::{DueEntry, DuePage, Place, UnfinishedPage};
pub use job::claim::ClaimRequest;
pub use job::delete::{Deletable, Deleted};
pub use job::park::{Reserved, SENT_MS};
pub use job::put::Put;
pub use job::updated::Updated;
pub use limit::item::LimitWritten;
pub use lock::{JobWrite, Locked, Take};
pub use queue::counter::Outcome;
pub use queue::registry::QueueEntry;
pub use walk::{LiveJob, MAX_WALK_PAGE, WalkPage};
pub use worker::WorkerBeat;
pub use workflow::result::KeptResults;
pub use workflow::shard::Shard;
pub use workflow::write::{WorkflowPut, WorkflowWritten};

use aws_sdk_dynamodb::Client;

use crate::settings::Settings;
use dynamo::attributes::Attribute;
use job::attributes::{RECEIPT, RECEIPT_TIER};
use ojs_model::job::{Job, Retention, State};

/// Largest item DynamoDB holds, bytes, less a margin for what an update adds.
pub const MAX_ITEM_BYTES: usize = 400 * 1_024 - 1_024;

/// The table.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    table: String,
    retention: Retention,
    shards: u32,
    /// Tries of one call.
    attempts: u32,
    listing: bool,
    fifo: bool,
}

impl Store {
    /// The table that `settings` name, reached through `client`.
    #[must_use]
    pub fn new(client: Client, settings: &Settings) -> Self {
        Self {
            client,
            table: settings.table.clone(),
            retention: settings.retention,
            shards: settings.index_shards,
            attempts: settings.aws_max_attempts,
            listing: settings.listing_index,
            fifo: settings.fifo,
        }
    }

    /// What a lease's end removes of its message: on FIFO queues nothing, because a repeated request must find the message
    /// that its group waits for.
    fn receipt_removal(&self) -> &'static [Attribute] {
        if self.fifo { &[] } else { &[RECEIPT, RECEIPT_TIER] }
    }

    /// Whether jobs enter the listing index.
    #[must_use]
    pub fn has_listing(&self) -> bool {
        self.listing
    }

    /// When the table may forget a job that ended at `at_ms`, s since the Unix epoch.
    fn ttl_s(&self, state: State, at_ms: i64) -> i64 {
        at_ms / 1_000 + self.kept_s(state)
    }

    /// How long a job that ended so is kept where its queue does not say, s.
    fn kept_s(&self, state: State) -> i64 {
        match state {
            State::Discarded => self.retention.discarded_s,
            _ => self.retention.completed_s,
        }
    }

    fn job_ttl_s(&self, job: &Job) -> Option<i64> {
        let ended_at = job.ended_at()?;
        Some(match job.retention.of(job.state) {
            Some(kept_s) => ended_at / 1_000 + kept_s,
            None => self.ttl_s(job.state, ended_at),
        })
    }
}
