//! The operations, one per file, written against the store and the transport.
//!
//! The order of calls is the crash safety: a job's state is durable before its message goes, and a message goes only
//! after everything that follows from it is durable. What a crash leaves behind is finished by the message's return.

mod ack;
mod activate;
mod audit;
mod batch_finish;
mod bulk_change;
mod bulk_enqueue;
mod bulk_keyed;
mod bulk_select;
mod cancel;
mod cron_delete;
mod cron_get;
mod cron_list;
mod cron_register;
mod cron_tick;
mod cron_toggle;
mod dead_letters;
mod delete;
mod drain;
mod enqueue;
mod enqueue_batch;
mod enqueue_keyed;
mod enqueue_unique;
mod events;
mod fetch;
mod fetch_plan;
mod fetch_undo;
mod fire;
mod follow;
mod get;
mod health;
mod heartbeat;
mod known;
mod limit_rest;
mod limit_start;
mod limiter;
mod limits;
mod lines;
mod nack;
mod parking;
mod promote;
mod queue_config;
mod queue_pause;
mod queue_stats;
mod queues;
mod refuse;
mod retry;
mod see;
mod tick;
mod unique_lock;
mod visible;
mod worker;
mod workflow_advance;
mod workflow_audit;
mod workflow_cancel;
mod workflow_create;
mod workflow_get;
mod workflow_nested;
mod workflow_start;

pub use ack::{Ack, Acked};
pub use audit::Audited;
pub use bulk_keyed::BulkAnswer;
pub use cron_list::{CronPage, CronQuery};
pub use cron_register::CronRegistered;
pub use cron_tick::CronTicked;
pub use dead_letters::{DeadLetterPage, DeadLetterQuery, Override};
pub use drain::Drained;
pub use enqueue::Enqueued;
pub use enqueue_batch::MAX_REPLACEMENTS;
pub use events::{EventPage, EventQuery, FEED_CRONS, FEED_JOBS_PER_QUEUE, FEED_QUEUES};
pub use fetch::{Fetch, MAX_FETCH, MAX_FETCH_QUEUES};
pub use health::Health;
pub use heartbeat::{Heartbeat, Heartbeaten, LostJob, MAX_HEARTBEAT_JOBS};
pub use limits::LimitPage;
pub use nack::Nack;
pub use promote::Promoted;
pub use queues::QueuePage;
pub use tick::{LOOKAHEAD_MS, TickBudget};
pub use workflow_get::WorkflowPage;

use std::future::Future;
use std::sync::Arc;

use audit::Resends;
use known::Known;
use limiter::Limiters;

use crate::aws::Clients;
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorCode, Result};
use crate::ids::Ids;
use crate::job::Job;
use crate::settings::Settings;
use crate::store::{Store, Updated};
use crate::transport::Transport;

/// Most bytes of one answer, as [`escaped_bytes`](crate::json::escaped_bytes) counts: the body leaves Lambda as a string in a
/// JSON object, which has 6,291,556 bytes at most. The rest is for the headers.
pub const MAX_ANSWER_BYTES: usize = 6_250_000;
/// How often an operation computes anew because the job changed between its read and its write.
const MAX_RACES: u32 = 5;

/// The engine: everything the API and the ticks can do.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    transport: Transport,
    clock: Arc<dyn Clock>,
    ids: Ids,
    settings: Settings,
    known: Known,
    limiters: Limiters,
    resends: Resends,
}

impl Engine {
    /// An engine on these clients.
    #[must_use]
    pub fn new(clients: Clients, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            store: Store::new(clients.dynamodb, &settings),
            transport: Transport::new(clients.sqs, &settings, Arc::clone(&clock)),
            clock,
            ids: Ids::new(),
            settings,
            known: Known::default(),
            limiters: Limiters::default(),
            resends: Resends::default(),
        }
    }

    /// The table.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The queues.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// What the engine was told.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The time as the engine sees it, ms since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The deadline of a request that begins now. `killed_at_ms`: when the function is killed, ms since the Unix epoch.
    #[must_use]
    pub fn deadline(&self, killed_at_ms: Option<i64>) -> Deadline {
        let Settings { request_timeout_ms, deadline_margin_ms, .. } = self.settings;
        Deadline::of_request(self.now_ms(), request_timeout_ms, deadline_margin_ms, killed_at_ms)
    }

    /// Runs a request under a deadline, on the engine's clock.
    pub fn within<F: Future>(&self, deadline: Deadline, request: F) -> impl Future<Output = F::Output> + use<F> {
        deadline.scope(Arc::clone(&self.clock), request)
    }

    /// The source of ids.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Drops what is remembered of queues; for the local stack's reset.
    pub fn forget_queues(&self) {
        self.transport.forget_queues();
        self.known.clear();
        self.limiters.clear();
        self.resends.clear();
    }

    /// Writes what a step made of a job that was read, unless the job has changed since.
    async fn replace(&self, stored: &Job, new: &Job) -> Result<Updated> {
        self.store.replace_job(stored, new, self.ids.nonce()).await
    }

    /// Notes a queue in the registry, once per process.
    async fn register_queue(&self, queue: &str) -> Result<()> {
        if self.known.is_registered(queue) {
            return Ok(());
        }
        self.store.register_queue(queue, self.clock.now_ms()).await?;
        self.known.note_registered(queue);
        Ok(())
    }
}

/// No such cron job: 404.
fn cron_missing(name: &str) -> Error {
    Error::not_found("cron", name)
}

/// The cron job kept changing under us: 503, to be tried again.
fn cron_raced(name: &str) -> Error {
    Error::new(ErrorCode::BackendUnavailable, format!("Cron job '{name}' keeps changing; try again shortly."))
}
