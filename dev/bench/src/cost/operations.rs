//! What is counted. Each operation sets up what it needs, unseen, and then runs once before the meter.

use std::time::Duration;

use ojs_core::engine::{Ack, DeadLetterQuery, EventQuery, Heartbeat, Nack, Override, TickBudget};
use ojs_core::transport::{Hidden, SqsQueue};
use ojs_model::Ids;
use ojs_model::job::Job;
use ojs_model::json::Fields;
use serde_json::json;

use super::meter::Meter;
use super::tally::Tally;
use crate::Outcome;
use crate::lab::{WORKER, ack, fetch, holder, nack, token};

/// Jobs in a batch of `*_ten` and in a page of dead letters.
const TEN: usize = 10;
/// Jobs that run for long beside a fetch.
const LONG_RUNNING: usize = 50;
/// Jobs in the feed.
const TWENTY: usize = 20;
/// Jobs that a tick finds due.
const DUE: usize = 200;

macro_rules! operations {
    ($($variant:ident => $name:literal,)*) => {
        /// An operation of the engine.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Operation { $($variant,)* }

        impl Operation {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the results.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

operations! {
    Enqueue => "enqueue",
    EnqueueScheduled => "enqueue_scheduled",
    EnqueueDueIndex => "enqueue_due_index",
    EnqueueClientId => "enqueue_client_id",
    Get => "get",
    FetchOne => "fetch_one",
    FetchTen => "fetch_ten",
    FetchEmpty => "fetch_empty",
    FetchBesideLongRunning => "fetch_beside_long_running",
    Ack => "ack",
    AckWithToken => "ack_with_token",
    NackRetry => "nack_retry",
    NackDiscard => "nack_discard",
    NackDeadLetter => "nack_dead_letter",
    NackRequeue => "nack_requeue",
    HeartbeatOne => "heartbeat_one",
    HeartbeatTen => "heartbeat_ten",
    HeartbeatTenTotal => "heartbeat_ten_total",
    CancelAvailable => "cancel_available",
    CancelActive => "cancel_active",
    DeadLetterList => "dead_letter_list",
    DeadLetterRetry => "dead_letter_retry",
    DeadLetterDelete => "dead_letter_delete",
    Activate => "activate",
    ListQueues => "list_queues",
    Events => "events",
    Health => "health",
    Promote => "promote",
    CronRegister => "cron_register",
    CronRegisterSame => "cron_register_same",
    CronFireByFetch => "cron_fire_by_fetch",
    CronFireByTick => "cron_fire_by_tick",
    CronSkip => "cron_skip",
    TickSchedulerIdle => "tick_scheduler_idle",
    TickCronIdle => "tick_cron_idle",
    TickAuditIdle => "tick_audit_idle",
    EnqueuePriority => "enqueue_priority",
    EnqueueUnique => "enqueue_unique",
    EnqueueDuplicate => "enqueue_duplicate",
    EnqueueReplacing => "enqueue_replacing",
    AckUnique => "ack_unique",
    FetchIdleTiers => "fetch_idle_tiers",
    EnqueueBatch => "enqueue_batch",
    EnqueueKeyed => "enqueue_keyed",
    EnqueueKeyedAgain => "enqueue_keyed_again",
    WorkflowCreateKeyed => "workflow_create_keyed",
    FetchLimitedRate => "fetch_limited_rate",
    FetchLimitedConcurrency => "fetch_limited_concurrency",
    FetchLimitedRefused => "fetch_limited_refused",
    AckLimited => "ack_limited",
    FetchParked => "fetch_parked",
    AckReleasing => "ack_releasing",
    QueueStats => "queue_stats",
    Pause => "pause",
    WorkflowCreateChain => "workflow_create_chain",
    WorkflowCreateGroup => "workflow_create_group",
    WorkflowCreateBatch => "workflow_create_batch",
    WorkflowChainStep => "workflow_chain_step",
    WorkflowGroupMember => "workflow_group_member",
    WorkflowBatchLast => "workflow_batch_last",
    Chain5 => "chain_of_5",
    Chain50 => "chain_of_50",
    Chain200 => "chain_of_200",
    Chain5Large => "chain_of_5_2kb",
    Chain50Large => "chain_of_50_2kb",
    Chain200Large => "chain_of_200_2kb",
    Cycle => "cycle",
}

impl Operation {
    /// A queue of its own, so that no operation receives another's jobs.
    pub(super) fn queue(self) -> String {
        self.name().replace('_', "-")
    }

    /// Steps of a whole chain, and bytes of each step's result: what it takes per step must not grow with the chain.
    pub(super) fn growth(self) -> Option<(usize, usize)> {
        Some(match self {
            Self::Chain5 => (5, 100),
            Self::Chain50 => (50, 100),
            Self::Chain200 => (200, 100),
            Self::Chain5Large => (5, 2_000),
            Self::Chain50Large => (50, 2_000),
            Self::Chain200Large => (200, 2_000),
            _ => return None,
        })
    }

    /// Whether its set-up is many calls long: it is repeated less.
    pub(crate) fn is_heavy(self) -> bool {
        matches!(
            self,
            Self::FetchTen
                | Self::FetchBesideLongRunning
                | Self::HeartbeatTen
                | Self::HeartbeatTenTotal
                | Self::Promote
                | Self::CronFireByFetch
                | Self::CronFireByTick
                | Self::CronSkip
                | Self::FetchIdleTiers
                | Self::EnqueueBatch
                | Self::WorkflowCreateChain
                | Self::WorkflowCreateGroup
                | Self::WorkflowCreateBatch
        )
    }

    /// Runs it once before the meter.
    pub(crate) async fn run(self, meter: &Meter) -> Outcome<Tally> {
        match self {
            Self::Enqueue => self.enqueue(meter, json!({})).await,
            Self::EnqueueScheduled => self.enqueue(meter, json!({"scheduled_at": "+PT60S"})).await,
            Self::EnqueueDueIndex => self.enqueue(meter, json!({"scheduled_at": "+PT1H"})).await,
            Self::EnqueueClientId => self.enqueue_client_id(meter).await,
            Self::Get => self.get(meter).await,
            Self::FetchOne => self.fetch(meter, 1).await,
            Self::FetchTen => self.fetch(meter, TEN).await,
            Self::FetchEmpty => self.fetch_empty(meter).await,
            Self::FetchBesideLongRunning => self.fetch_beside_long_running(meter).await,
            Self::Ack | Self::AckWithToken => self.ack(meter).await,
            // Long enough that the retry does not meet the next repetition's fetch.
            Self::NackRetry => self.nack(meter, json!({"initial_interval": "PT1M"})).await,
            Self::NackDiscard => self.nack(meter, json!({"max_attempts": 1})).await,
            Self::NackDeadLetter => self.nack(meter, json!({"max_attempts": 1, "on_exhaustion": "dead_letter"})).await,
            Self::NackRequeue => self.nack_requeue(meter).await,
            Self::HeartbeatOne => self.heartbeat(meter, 1).await,
            Self::HeartbeatTen => Ok(self.heartbeat(meter, TEN).await?.per(TEN)),
            Self::HeartbeatTenTotal => self.heartbeat(meter, TEN).await,
            Self::CancelAvailable | Self::CancelActive => self.cancel(meter).await,
            Self::DeadLetterList => self.dead_letter_list(meter).await,
            Self::DeadLetterRetry => self.dead_letter_retry(meter).await,
            Self::DeadLetterDelete => self.dead_letter_delete(meter).await,
            Self::Activate => self.activate(meter).await,
            Self::ListQueues => Ok(meter.count(meter.lab.engine.list_queues(None, 50)).await?.1),
            Self::Events => self.events(meter).await,
            Self::Health => {
                let health = async { Ok(meter.lab.engine.health().await) };
                Ok(meter.count(health).await?.1)
            }
            Self::Promote => self.send_due(meter).await,
            Self::CronRegister => self.cron_register(meter).await,
            Self::CronRegisterSame => self.cron_register_same(meter).await,
            Self::CronFireByFetch => self.cron_fire_by_fetch(meter).await,
            Self::CronFireByTick => self.cron_fire_by_tick(meter).await,
            Self::CronSkip => self.cron_skip(meter).await,
            Self::TickSchedulerIdle => self.tick_scheduler_idle(meter).await,
            Self::TickCronIdle => self.tick_cron_idle(meter).await,
            Self::TickAuditIdle => self.tick_audit_idle(meter).await,
            Self::EnqueuePriority => self.enqueue(meter, json!({"priority": 10})).await,
            Self::EnqueueUnique => self.enqueue_unique(meter).await,
            Self::EnqueueDuplicate => self.enqueue_duplicate(meter).await,
            Self::EnqueueReplacing => self.enqueue_replacing(meter).await,
            Self::AckUnique => self.ack_unique(meter).await,
            Self::FetchIdleTiers => self.fetch_idle_tiers(meter).await,
            Self::EnqueueBatch => self.enqueue_batch(meter).await,
            Self::EnqueueKeyed | Self::EnqueueKeyedAgain => self.enqueue_keyed(meter).await,
            Self::WorkflowCreateKeyed => self.workflow_create_keyed(meter).await,
            Self::FetchLimitedRate => {
                self.fetch_limited(meter, json!({"rate": {"limit": 1_000, "period": "PT1S"}})).await
            }
            Self::FetchLimitedConcurrency => self.fetch_limited(meter, json!({"concurrency": 10})).await,
            Self::FetchLimitedRefused => self.fetch_refused(meter).await,
            Self::AckLimited => self.ack_limited(meter).await,
            Self::FetchParked => self.fetch_parked(meter).await,
            Self::AckReleasing => self.ack_releasing(meter).await,
            Self::QueueStats => self.queue_stats(meter).await,
            Self::Pause => self.pause(meter).await,
            Self::WorkflowCreateChain | Self::WorkflowCreateGroup | Self::WorkflowCreateBatch => {
                self.workflow_create(meter).await
            }
            Self::WorkflowChainStep => self.workflow_chain_step(meter).await,
            Self::WorkflowGroupMember | Self::WorkflowBatchLast => self.workflow_member(meter).await,
            Self::Chain5
            | Self::Chain50
            | Self::Chain200
            | Self::Chain5Large
            | Self::Chain50Large
            | Self::Chain200Large => self.chain(meter).await,
            Self::Cycle => self.cycle(meter).await,
        }
    }

    async fn enqueue(self, meter: &Meter, options: serde_json::Value) -> Outcome<Tally> {
        let request = meter.lab.request(&self.queue(), &options)?;
        Ok(meter.count(meter.lab.engine.enqueue(request)).await?.1)
    }

    async fn enqueue_client_id(self, meter: &Meter) -> Outcome<Tally> {
        let id = Ids::new().job_id(meter.lab.engine.now_ms());
        let mut body = meter.lab.body(&self.queue(), &json!({}));
        body["id"] = id.as_str().into();
        let request = Fields::from_body(body.to_string().as_bytes())?;
        Ok(meter.count(meter.lab.engine.enqueue(request)).await?.1)
    }

    async fn get(self, meter: &Meter) -> Outcome<Tally> {
        let job = meter.lab.enqueue(&self.queue(), &json!({})).await?;
        Ok(meter.count(meter.lab.engine.get(&job.id)).await?.1)
    }

    async fn fetch(self, meter: &Meter, count: usize) -> Outcome<Tally> {
        let queue = self.queue();
        for _ in 0..count {
            meter.lab.enqueue(&queue, &json!({})).await?;
        }
        let (jobs, tally) = meter.count(meter.lab.engine.fetch(fetch(&queue, count))).await?;
        expect(jobs.len() == count, "the fetch answers all jobs")?;
        Ok(tally.per(count))
    }

    async fn fetch_empty(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        if !meter.lab.engine.transport().knows(&SqsQueue::jobs(&queue)) {
            meter.lab.enqueue(&queue, &json!({})).await?;
            meter.lab.work_off(&queue).await?;
        }
        let (jobs, tally) = meter.count(meter.lab.engine.fetch(fetch(&queue, 1))).await?;
        expect(jobs.is_empty(), "the queue is empty")?;
        Ok(tally)
    }

    /// A job behind the messages of others that have run for more than a minute without a heartbeat: their messages have
    /// come back.
    async fn fetch_beside_long_running(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let engine = &meter.lab.engine;
        let line = SqsQueue::jobs(&queue);
        for _ in 0..LONG_RUNNING / TEN {
            for _ in 0..TEN {
                meter.lab.enqueue(&queue, &json!({})).await?;
            }
            let running = engine.fetch(fetch(&queue, TEN)).await?;
            expect(running.len() == TEN, "the fetch answers all jobs")?;
            let receipts = running.iter().filter_map(|job| job.lease.as_ref()?.receipt.as_ref());
            let back: Vec<_> =
                receipts.map(|receipt| Hidden { sqs_queue: &line, receipt: &receipt.handle, hidden_s: 1 }).collect();
            engine.transport().hide_all(&back).await?;
        }
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        let behind = meter.lab.enqueue(&queue, &json!({})).await?;
        let (jobs, tally) = meter.count(engine.fetch(fetch(&queue, 1))).await?;
        expect(jobs.len() == 1 && jobs[0].id == behind.id, "the fetch answers the job behind the others")?;
        Ok(tally)
    }

    async fn ack(self, meter: &Meter) -> Outcome<Tally> {
        let job = meter.lab.active(&self.queue(), &json!({})).await?;
        let ack = match self {
            Self::AckWithToken => Ack { holder: holder(&job), ..ack(&job) },
            _ => ack(&job),
        };
        Ok(meter.count(meter.lab.engine.ack(ack)).await?.1)
    }

    async fn nack(self, meter: &Meter, retry: serde_json::Value) -> Outcome<Tally> {
        let job = meter.lab.active(&self.queue(), &json!({"retry": retry})).await?;
        Ok(meter.count(meter.lab.engine.nack(nack(&job)?)).await?.1)
    }

    async fn nack_requeue(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let job = meter.lab.active(&queue, &json!({})).await?;
        let nack = Nack { requeue: true, failure: None, ..nack(&job)? };
        let (_, tally) = meter.count(meter.lab.engine.nack(nack)).await?;
        meter.lab.work_off(&queue).await?;
        Ok(tally)
    }

    async fn heartbeat(self, meter: &Meter, count: usize) -> Outcome<Tally> {
        let mut jobs = Vec::new();
        for _ in 0..count {
            let job = meter.lab.active(&self.queue(), &json!({})).await?;
            jobs.push((job.id.clone(), token(&job)));
        }
        let beat = Heartbeat { worker_id: WORKER.to_owned(), jobs, visibility_ms: None };
        let (beaten, tally) = meter.count(meter.lab.engine.heartbeat(beat)).await?;
        expect(beaten.extended.len() == count, "the heartbeat extends all jobs")?;
        Ok(tally)
    }

    async fn cancel(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let job = match self {
            Self::CancelActive => meter.lab.active(&queue, &json!({})).await?,
            _ => meter.lab.enqueue(&queue, &json!({})).await?,
        };
        Ok(meter.count(meter.lab.engine.cancel(&job.id)).await?.1)
    }

    async fn dead_letter_list(self, meter: &Meter) -> Outcome<Tally> {
        let query = || DeadLetterQuery { queue: Some(self.queue()), limit: TEN, ..DeadLetterQuery::default() };
        let there = meter.lab.engine.list_dead_letters(query()).await?.jobs.len();
        for _ in there..TEN {
            meter.lab.dead_letter(&self.queue()).await?;
        }
        let (page, tally) = meter.count(meter.lab.engine.list_dead_letters(query())).await?;
        expect(page.jobs.len() == TEN, "the page is full")?;
        Ok(tally)
    }

    async fn dead_letter_retry(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let job = meter.lab.dead_letter(&queue).await?;
        let change = Override::default();
        let (_, tally) = meter.count(meter.lab.engine.retry_dead_letter(&job.id, &change)).await?;
        meter.lab.work_off(&queue).await?;
        Ok(tally)
    }

    async fn dead_letter_delete(self, meter: &Meter) -> Outcome<Tally> {
        let job = meter.lab.dead_letter(&self.queue()).await?;
        Ok(meter.count(meter.lab.engine.delete_dead_letter(&job.id)).await?.1)
    }

    async fn activate(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let job = meter.lab.enqueue(&queue, &json!({"pending": true})).await?;
        let (_, tally) = meter.count(meter.lab.engine.activate(&job.id)).await?;
        meter.lab.work_off(&queue).await?;
        Ok(tally)
    }

    async fn events(self, meter: &Meter) -> Outcome<Tally> {
        let query = || EventQuery { queues: vec![self.queue()], limit: 100, ..EventQuery::default() };
        let there = meter.lab.engine.events(query()).await?.events.len();
        for _ in there..TWENTY {
            meter.lab.enqueue(&self.queue(), &json!({})).await?;
        }
        let (page, tally) = meter.count(meter.lab.engine.events(query())).await?;
        expect(page.events.len() == TWENTY, "each job shows one event")?;
        Ok(tally)
    }

    async fn send_due(self, meter: &Meter) -> Outcome<Tally> {
        // Others have left jobs in the due index.
        while meter.later.send_due(TickBudget::UNLIMITED).await?.sent > 0 {}
        for _ in 0..DUE {
            meter.lab.enqueue(&self.queue(), &json!({"scheduled_at": "+PT1H"})).await?;
        }
        let (promoted, tally) = meter.count(meter.later.send_due(TickBudget::UNLIMITED)).await?;
        expect(promoted.sent == DUE, "the tick sends all jobs")?;
        Ok(tally.per(DUE))
    }

    async fn cycle(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let request = meter.lab.request(&queue, &json!({}))?;
        let engine = &meter.lab.engine;
        let cycle = async {
            engine.enqueue(request).await?;
            let jobs: Vec<Job> = engine.fetch(fetch(&queue, 1)).await?;
            for job in &jobs {
                engine.ack(ack(job)).await?;
            }
            Ok(jobs.len())
        };
        let (done, tally) = meter.count(cycle).await?;
        expect(done == 1, "the cycle fetches its job")?;
        Ok(tally)
    }
}

/// A benchmark that does not do what it says must not be believed.
pub(super) fn expect(holds: bool, what: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(format!("does not hold: {what}").into()) }
}
