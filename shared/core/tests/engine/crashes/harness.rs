//! Runs an operation once per AWS call it makes, each time with that call failing in one of the ways there are.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ojs_core::engine::{Ack, Fetch, LOOKAHEAD_MS, TickBudget};
use ojs_core::{Engine, Settings};
use ojs_emulators::SqsFaults;
use ojs_fault_injection::{Fault, Plan, Then, Wire};
use ojs_model::job::{Holder, Job, State};
use ojs_model::{Error, ErrorCode, JobId};
use ojs_testkit::TestStack;

/// What goes wrong with the call, and with those after it.
const DISTURBANCES: [(Fault, Then); 8] = [
    (Fault::NotSent, Then::Continue),
    (Fault::NotSent, Then::Dead),
    (Fault::LostAnswer, Then::Continue),
    (Fault::LostAnswer, Then::Dead),
    (Fault::Throttled, Then::Continue),
    (Fault::Throttled, Then::Repeat),
    (Fault::Unavailable, Then::Continue),
    (Fault::Unavailable, Then::Repeat),
];
/// An instance that gives up at once, and one whose SDK tries again: that makes its own effect meet it (I5).
const ATTEMPTS: [u32; 2] = [1, 3];
/// More than any operation makes; a disturbance beyond it disturbs nothing.
const MAX_CALLS: usize = 64;

/// One run of an operation.
pub(crate) struct Scenario<'a> {
    pub(crate) stack: &'a TestStack,
    /// The disturbed instance, cold: it knows no queue yet.
    pub(crate) engine: Arc<Engine>,
    /// A queue of this run's own.
    pub(crate) queue: String,
    wire: Wire,
    plan: Plan,
    claims: RefCell<HashSet<(JobId, u32)>>,
}

/// Only AWS's failures may come of AWS's failures.
pub(crate) fn failed_well(error: &Error) {
    let expected = matches!(error.code, ErrorCode::RateLimited | ErrorCode::BackendUnavailable);
    assert!(expected && error.retry_after_s.is_some(), "{error}");
}

/// Runs `operation` undisturbed, and then once per call, fault and consequence.
pub(crate) async fn enumerate(operation: impl AsyncFn(Scenario<'_>)) {
    enumerate_with(Settings::default(), operation).await;
}

/// The same with other settings.
pub(crate) async fn enumerate_with(settings: Settings, operation: impl AsyncFn(Scenario<'_>)) {
    let stack = TestStack::start_with(settings, SqsFaults::default()).await;
    let mut run = 0;
    for attempts in ATTEMPTS {
        for (fault, then) in DISTURBANCES {
            if attempts > 1 && then != Then::Continue {
                // More tries at what fails every time are more of the same, only slower.
                continue;
            }
            // How many calls there are is found by running until the disturbance comes after the last one.
            for at in 0.. {
                assert!(at < MAX_CALLS, "the operation does not end");
                run += 1;
                let (engine, wire) = stack.instance(attempts).await;
                let plan = Plan { at, fault, then };
                wire.disturb(plan);
                let (queue, claims) = (format!("run.{run}"), RefCell::default());
                operation(Scenario { stack: &stack, engine, queue, wire: wire.clone(), plan, claims }).await;
                if wire.disturbed_calls() <= at {
                    break;
                }
            }
        }
    }
    stack.stop().await;
}

impl Scenario<'_> {
    /// Ends the disturbance; what follows is the rest of the world.
    pub(crate) fn calm(&self) {
        self.wire.calm();
    }

    /// What was disturbed, for messages.
    pub(crate) fn plan(&self) -> Plan {
        self.plan
    }

    /// Moves the clock on by this, ms, before the next call of this action.
    pub(crate) fn pass_at(&self, action: &'static str, ms: u64) {
        let (clock, passed) = (self.stack.clock.clone(), AtomicBool::new(false));
        self.wire.on_call(move |call| {
            if call.action == action && !passed.swap(true, Ordering::Relaxed) {
                clock.advance_ms(ms);
            }
        });
    }

    /// Whether the disturbance has come to pass.
    pub(crate) fn disturbed(&self) -> bool {
        self.wire.disturbed_calls() > self.plan.at
    }

    /// Notes claims; no attempt may be claimed twice (I2).
    pub(crate) fn claims(&self, jobs: &[Job]) {
        for job in jobs {
            let new = self.claims.borrow_mut().insert((job.id.clone(), job.attempt));
            assert!(new, "attempt {} of {} was claimed twice", job.attempt, job.id);
        }
    }

    /// Notes the claims of a fetch, which may have failed as a fetch may.
    pub(crate) fn fetched(&self, fetched: Result<Vec<Job>, Error>) {
        match fetched {
            Ok(jobs) => self.claims(&jobs),
            Err(error) => failed_well(&error),
        }
    }

    /// Attempts start over.
    pub(crate) fn forget_claims(&self) {
        self.claims.borrow_mut().clear();
    }

    /// What workers and ticks do afterwards, until no message is left.
    pub(crate) async fn drain(&self) {
        let engine = &self.stack.engine;
        let queues = vec![self.queue.clone(), format!("{}.else", self.queue)];
        let fetch = Fetch { queues, count: 10, worker_id: Some("drain".into()), visibility_ms: Some(30_000) };
        for round in 0..400 {
            engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
            let jobs = engine.fetch(fetch.clone()).await.unwrap();
            self.claims(&jobs);
            for job in &jobs {
                let holder = Holder { worker: None, token: job.lease.as_ref().map(|lease| lease.token.clone()) };
                engine.ack(Ack { id: job.id.clone(), holder, result: None }).await.unwrap();
            }
            // Leases, retries and put-backs are over soon; what is left after that takes its time.
            let mut step_ms = 15_000 * (1 + round / 10);
            if jobs.is_empty() && self.stack.aws.sqs.message_count() == 0 {
                // Nothing can happen before the next job in the due index comes into a tick's sight.
                let Some(due) = self.next_due().await else { return };
                step_ms = step_ms.max(due - engine.now_ms() - LOOKAHEAD_MS + 1);
            }
            self.stack.clock.advance_ms(step_ms.unsigned_abs());
        }
        panic!("messages are left: {}", self.stack.aws.sqs.message_count());
    }

    /// Moves the messages of these jobs to the native dead-letter queue.
    pub(crate) async fn bury(&self, jobs: &[&Job]) {
        let queues = self.stack.sqs().await;
        let name = ojs_core::transport::names::dead_letter("ojs", &self.queue);
        let main = ojs_core::transport::names::main("ojs", &self.queue);
        let url = async |name: &str| queues.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap();
        let (main, dead) = (url(&main).await, url(&name).await);
        loop {
            let taken = queues.receive_message().queue_url(&main).max_number_of_messages(10).send().await.unwrap();
            if taken.messages().is_empty() {
                break;
            }
            for message in taken.messages() {
                let receipt = message.receipt_handle().unwrap();
                queues.delete_message().queue_url(&main).receipt_handle(receipt).send().await.unwrap();
            }
        }
        for job in jobs {
            let body = ojs_model::message::JobRef::to(job).to_body();
            queues.send_message().queue_url(&dead).message_body(body).send().await.unwrap();
        }
    }

    /// Lets the next tick look into this run's native dead-letter queue: the runs before have queues as well.
    pub(crate) async fn have_the_turn(&self) {
        let (start, last) = self.queue.split_at(self.queue.len() - 1);
        // What sorts right before it.
        let before = format!("{start}{}~", char::from(last.as_bytes()[0] - 1));
        self.stack.engine.store().note_progress("dead-letters", Some(&before)).await.unwrap();
    }

    async fn next_due(&self) -> Option<i64> {
        let store = self.stack.engine.store();
        let mut due = Vec::new();
        for shard in 0..store.due_shards() {
            let page = store.due_before(shard, i64::MAX / 2, None, 1).await.unwrap();
            due.extend(page.jobs.into_iter().map(|entry| entry.due_at));
            // A tick finishes a batch or workflow when its time has come, and not before.
            let page = store.unfinished_before(shard, i64::MAX / 2, None, 1).await.unwrap();
            due.extend(page.batches.into_iter().chain(page.workflows).map(|(_, due_at)| due_at + LOOKAHEAD_MS));
            // And looks at parked jobs.
            due.extend(page.limits.into_iter().map(|(_, look_at)| look_at + LOOKAHEAD_MS));
        }
        due.into_iter().min()
    }

    /// Drains, and checks that the job has ended so (I1) and stays so (I4).
    pub(crate) async fn finish(&self, id: &JobId, end: State) {
        self.drain().await;
        let job = self.stack.get(id).await;
        assert_eq!(job.state, end, "{:?}: {:?}", self.plan, job.errors);
        let shown = serde_json::to_string(&job.shown(true)).unwrap();
        self.stack.clock.advance_ms(3_600_000);
        assert_eq!(serde_json::to_string(&self.stack.get(id).await.shown(true)).unwrap(), shown);
    }
}
