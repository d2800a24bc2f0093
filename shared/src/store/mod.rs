//! DynamoDB: the truth. One file per item kind; keys are built in [`keys`] only; every state change is one
//! conditional write that names what it saw.
//!
//! The SDK's futures are large, and those of an operation lie inside each other: each call is boxed.

mod attr;
mod batch_get;
mod batch_item;
mod batch_write;
mod counter;
mod cron_delete;
mod cron_due;
mod cron_fire;
mod cron_get;
mod cron_item;
mod cron_list;
mod cron_replace;
mod cron_wake;
mod dead_letter;
mod due;
mod get_item;
mod idempotency;
mod job_cancel;
mod job_claim;
mod job_complete;
mod job_delete;
mod job_extend;
mod job_flag;
mod job_get;
mod job_item;
mod job_park;
mod job_put;
mod job_replace;
pub mod keys;
mod limit_item;
mod limit_list;
mod listing;
mod progress;
mod queue;
mod queue_config;
mod queue_pause;
mod queue_state;
mod queue_tier;
pub mod table;
mod transact;
mod unconditional;
mod unique;
mod update;
mod walk;
mod worker;
mod workflow_item;
mod workflow_shard;
mod workflow_write;

pub use batch_item::{Committed, Replacement};
pub use counter::Outcome;
pub use cron_due::CronDueEntry;
pub use cron_fire::{Fired, Firing};
pub use cron_list::CronList;
pub use cron_replace::CronUpdated;
pub use dead_letter::DeadLetterPosition;
pub use due::{DueEntry, DuePage, Place, UnfinishedPage};
pub use idempotency::{Begun, Record, Ticket};
pub use job_claim::ClaimRequest;
pub use job_delete::Deleted;
pub use job_park::{Reserved, SENT_MS};
pub use job_put::Put;
pub use limit_item::LimitWritten;
pub use queue::QueueEntry;
pub use unconditional::NewPut;
pub use unique::{JobWrite, Locked, Take};
pub use update::Updated;
pub use walk::{LiveJob, MAX_WALK_PAGE, WalkPage};
pub use worker::WorkerBeat;
pub use workflow_shard::Shard;
pub use workflow_write::{WorkflowPut, WorkflowWritten};

use aws_sdk_dynamodb::Client;

use crate::job::{Job, Retention, State};
use crate::settings::Settings;

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
    fn receipt_removal(&self) -> &'static str {
        if self.fifo { "" } else { ", rh, rt" }
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
