//! The operations, one per file, in the folder of their subject, written against the store and the transport.
//!
//! The order of calls is the crash safety: a job's state is durable before its message goes, and a message goes only
//! after everything that follows from it is durable. What a crash leaves behind is finished by the message's return.

mod audit;
mod bulk;
mod cron;
mod enqueue;
mod events;
mod health;
mod job;
mod limit;
mod queue;
mod tick;
mod worker;
mod workflow;

pub use audit::Audited;
pub use bulk::idempotency::BulkAnswer;
pub use cron::list::{CronPage, CronQuery};
pub use cron::register::CronRegistered;
pub use cron::tick::CronTicked;
pub use enqueue::Enqueued;
pub use enqueue::batch::MAX_REPLACEMENTS;
pub use events::{EventPage, EventQuery, FEED_CRONS, FEED_JOBS_PER_QUEUE, FEED_QUEUES};
pub use health::Health;
pub use job::dead_letters::{DeadLetterPage, DeadLetterQuery, Override};
pub use limit::list::LimitPage;
pub use queue::list::QueuePage;
pub use tick::due::DueSent;
pub use tick::redrive::Redriven;
pub use tick::{LOOKAHEAD_MS, TickBudget};
pub use worker::ack::{Ack, Acked};
pub use worker::fetch::{Fetch, MAX_FETCH, MAX_FETCH_QUEUES};
pub use worker::heartbeat::{Heartbeat, Heartbeaten, LostJob, MAX_HEARTBEAT_JOBS};
pub use worker::nack::Nack;
pub use workflow::get::WorkflowPage;

use std::future::Future;
use std::sync::Arc;

use audit::Resends;
use limit::cache::LimitCache;
use queue::cache::QueueCache;

use crate::aws::Clients;
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::settings::Settings;
use crate::store::{Store, Updated};
use crate::transport::Transport;
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::Ids;
use ojs_model::job::Job;

/// Most bytes of one answer, as [`escaped_bytes`](ojs_model::json::escaped_bytes) counts: the body leaves Lambda as a string in a
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
    queue_cache: QueueCache,
    limit_cache: LimitCache,
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
            queue_cache: QueueCache::default(),
            limit_cache: LimitCache::default(),
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
        self.queue_cache.clear();
        self.limit_cache.clear();
        self.resends.clear();
    }

    /// Writes what a step made of a job that was read, unless the job has changed since.
    async fn replace(&self, stored: &Job, new: &Job) -> Result<Updated> {
        self.store.replace_job(stored, new, self.ids.nonce()).await
    }

    /// Notes a queue in the registry, once per process.
    async fn register_queue(&self, queue: &str) -> Result<()> {
        if self.queue_cache.is_registered(queue) {
            return Ok(());
        }
        self.store.register_queue(queue, self.clock.now_ms()).await?;
        self.queue_cache.note_registered(queue);
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
