//! A crash or a lost answer at each AWS call of each operation, enumerated: afterwards redelivery and the repetition of
//! the request finish the work, and I1 to I5 hold.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::crashes::harness::{Scenario, enumerate, failed_well};
use ojs_core::Deadline;
use ojs_core::engine::{Ack, Fetch, Heartbeat, Nack, Override, TickBudget};
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::raw;
use ojs_model::{ErrorCode, JobId, Result};
use ojs_testkit::fields;
use serde_json::json;

fn token(job: &Job) -> Holder {
    Holder { worker: None, token: job.lease.as_ref().map(|lease| lease.token.clone()) }
}

fn failure() -> Option<Failure> {
    Some(Failure::parse(&raw(r#"{"code":"x","message":"m"}"#).unwrap()).unwrap())
}

fn fetch(queue: &str) -> Fetch {
    Fetch { queues: vec![queue.to_owned()], count: 1, worker_id: Some("w".into()), visibility_ms: Some(30_000) }
}

/// Enqueues on the undisturbed instance and claims the job for worker `w`.
async fn claimed(s: &Scenario<'_>, options: serde_json::Value) -> Job {
    enqueued(s, options).await;
    let mut jobs = s.stack.engine.fetch(fetch(&s.queue)).await.unwrap();
    s.claims(&jobs);
    jobs.remove(0)
}

async fn enqueued(s: &Scenario<'_>, mut options: serde_json::Value) -> Job {
    options["queue"] = json!(s.queue);
    let request = json!({"type": "test", "args": [1], "options": options});
    s.stack.engine.enqueue(fields(&request)).await.unwrap().job
}

/// A claim that comes too late to be answered is undone.
#[tokio::test(flavor = "multi_thread")]
async fn undoing_a_claim() {
    enumerate(async |s| {
        let id = enqueued(&s, json!({"retry": {"max_attempts": 1}})).await.id;
        let deadline = Deadline::at(s.stack.engine.now_ms() + 2_000);
        // The claim leaves just in time, and the answer would not.
        s.pass_at("UpdateItem", 2_000);
        let fetched = s.engine.within(deadline, s.engine.fetch(fetch(&s.queue))).await;
        s.calm();
        match fetched {
            Ok(jobs) => assert!(jobs.is_empty(), "answered too late"),
            Err(error) => failed_well(&error),
        }
        if s.disturbed() {
            // The undoing may have failed: then the lease lapses, and the attempt counts.
            s.drain().await;
        } else {
            s.finish(&id, State::Completed).await;
            assert_eq!(s.stack.get(&id).await.attempt, 1);
        }
        assert!(s.stack.get(&id).await.state.is_terminal());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueue() {
    enumerate(async |s| {
        let request = json!({"type": "test", "args": [1], "options": {"queue": s.queue}});
        let made = s.engine.enqueue(fields(&request)).await;
        s.calm();
        match made {
            Ok(made) => s.finish(&made.job.id, State::Completed).await,
            Err(error) => {
                failed_well(&error);
                s.drain().await;
                // Not answered: the job is not there, or was done. None is left without a message, wherever the process died.
                for id in s.stack.engine.store().newest_jobs(&s.queue, 10).await.unwrap() {
                    let state = s.stack.get(&id).await.state;
                    assert_eq!(state, State::Completed, "{:?}: a cut enqueue left a job without a message", s.plan());
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueue_with_a_client_id_can_be_repeated() {
    enumerate(async |s| {
        let id = s.stack.engine.ids().job_id(s.stack.engine.now_ms());
        let request =
            || fields(&json!({"id": id.as_str(), "type": "test", "args": [1], "options": {"queue": s.queue}}));
        let made = s.engine.enqueue(request()).await;
        s.calm();
        if let Err(error) = made {
            failed_well(&error);
            // What a client does: it sends the same again until it is told that the job is there.
            match s.stack.engine.enqueue(request()).await {
                Ok(_) => {}
                Err(error) => assert_eq!(error.code, ErrorCode::Duplicate, "{error}"),
            }
        }
        s.finish(&id, State::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueue_for_later() {
    enumerate(async |s| {
        let options = json!({"queue": s.queue, "scheduled_at": "+PT2H"});
        let made = s.engine.enqueue(fields(&json!({"type": "test", "args": [1], "options": options}))).await;
        s.calm();
        match made {
            Ok(made) => s.finish(&made.job.id, State::Completed).await,
            Err(error) => {
                failed_well(&error);
                s.drain().await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching() {
    enumerate(async |s| {
        let job = enqueued(&s, json!({})).await;
        let fetched = s.engine.fetch(fetch(&s.queue)).await;
        s.calm();
        s.fetched(fetched);
        s.finish(&job.id, State::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching_a_lapsed_job() {
    enumerate(async |s| {
        let job = claimed(&s, json!({})).await;
        s.stack.clock.advance_ms(31_000);
        let fetched = s.engine.fetch(fetch(&s.queue)).await;
        s.calm();
        s.fetched(fetched);
        s.finish(&job.id, State::Completed).await;
        assert!(s.stack.get(&job.id).await.errors.iter().all(|e| e.error_type == "visibility_timeout"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching_an_expired_job() {
    enumerate(async |s| {
        let job = enqueued(&s, json!({"expires_at": "+PT5S"})).await;
        s.stack.clock.advance_ms(6_000);
        match s.engine.fetch(fetch(&s.queue)).await {
            Ok(jobs) => assert!(jobs.is_empty()),
            Err(error) => failed_well(&error),
        }
        s.calm();
        s.finish(&job.id, State::Discarded).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acking() {
    enumerate(async |s| {
        let job = claimed(&s, json!({})).await;
        let ack = || Ack { id: job.id.clone(), holder: token(&job), result: Some(raw("{\"r\":1}").unwrap()) };
        let acked = s.engine.ack(ack()).await;
        s.calm();
        if let Err(error) = acked {
            failed_well(&error);
            s.stack.engine.ack(ack()).await.unwrap();
        }
        s.finish(&job.id, State::Completed).await;
        let done = s.stack.get(&job.id).await;
        assert_eq!((done.attempt, done.result.unwrap().get()), (1, "{\"r\":1}"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acking_without_a_token_is_never_refused_for_its_own_effect() {
    enumerate(async |s| {
        let job = claimed(&s, json!({})).await;
        let acked = s.engine.ack(Ack { id: job.id.clone(), holder: Holder::default(), result: None }).await;
        s.calm();
        if let Err(error) = acked {
            failed_well(&error);
        }
        s.finish(&job.id, State::Completed).await;
    })
    .await;
}

async fn nacking(options: serde_json::Value, requeue: bool, outcome: State, end: State) {
    enumerate(async |s| {
        let job = claimed(&s, options.clone()).await;
        let nack = || Nack {
            id: job.id.clone(),
            holder: token(&job),
            failure: if requeue { None } else { failure() },
            requeue,
        };
        let answer = match s.engine.nack(nack()).await {
            Ok(answer) => {
                s.calm();
                answer
            }
            Err(error) => {
                s.calm();
                failed_well(&error);
                s.stack.engine.nack(nack()).await.unwrap()
            }
        };
        assert_eq!(answer.state, outcome);
        s.finish(&job.id, end).await;
        let after = s.stack.get(&job.id).await;
        assert_eq!(after.errors.len(), usize::from(!requeue), "the failure is noted once");
        assert_eq!(after.attempt, if end == State::Completed { 2 } else { 1 });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nacking_for_a_retry() {
    nacking(json!({}), false, State::Retryable, State::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nacking_for_a_late_retry() {
    let retry = json!({"retry": {"initial_interval": "PT1H", "jitter": false}});
    nacking(retry, false, State::Retryable, State::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nacking_the_last_attempt() {
    nacking(json!({"retry": {"max_attempts": 1}}), false, State::Discarded, State::Discarded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_a_job_back() {
    nacking(json!({}), true, State::Available, State::Completed).await;
}

async fn cancelling(active: bool) {
    enumerate(async |s| {
        let job = if active { claimed(&s, json!({})).await } else { enqueued(&s, json!({})).await };
        let cancelled = s.engine.cancel(&job.id).await;
        s.calm();
        if let Err(error) = cancelled {
            failed_well(&error);
            match s.stack.engine.cancel(&job.id).await {
                Ok(job) => assert_eq!(job.state, State::Cancelled),
                Err(error) => assert_eq!(error.details["current_state"], "cancelled"),
            }
        }
        s.finish(&job.id, State::Cancelled).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_an_available_job() {
    cancelling(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_an_active_job() {
    cancelling(true).await;
}

/// A dead letter in the scenario's queue.
async fn dead(s: &Scenario<'_>) -> JobId {
    let job = claimed(s, json!({"retry": {"max_attempts": 1, "on_exhaustion": "dead_letter"}})).await;
    let nack = Nack { id: job.id.clone(), holder: token(&job), failure: failure(), requeue: false };
    s.stack.engine.nack(nack).await.unwrap();
    s.forget_claims();
    job.id
}

#[tokio::test(flavor = "multi_thread")]
async fn retrying_a_dead_letter() {
    enumerate(async |s| {
        let id = dead(&s).await;
        let retried = s.engine.retry_dead_letter(&id, &Override::default()).await;
        s.calm();
        if let Err(error) = retried {
            failed_well(&error);
            s.stack.engine.retry_dead_letter(&id, &Override::default()).await.unwrap();
        }
        s.finish(&id, State::Completed).await;
        assert_eq!(s.stack.get(&id).await.attempt, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_a_dead_letter_to_another_queue() {
    enumerate(async |s| {
        let id = dead(&s).await;
        let elsewhere = format!("{}.else", s.queue);
        let change = || Override::parse(fields(&json!({"override": {"queue": elsewhere}}))).unwrap();
        let retried = s.engine.retry_dead_letter(&id, &change()).await;
        s.calm();
        if let Err(error) = retried {
            failed_well(&error);
            s.stack.engine.retry_dead_letter(&id, &change()).await.unwrap();
        }
        s.finish(&id, State::Completed).await;
        assert_eq!(s.stack.get(&id).await.queue, elsewhere);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_dead_letter() {
    enumerate(async |s| {
        let id = dead(&s).await;
        let deleted = s.engine.delete_dead_letter(&id).await;
        s.calm();
        if let Err(error) = deleted {
            failed_well(&error);
            match s.stack.engine.delete_dead_letter(&id).await {
                Ok(()) => {}
                Err(error) => assert_eq!(error.code, ErrorCode::NotFound),
            }
        }
        assert_eq!(s.stack.engine.get(&id).await.unwrap_err().code, ErrorCode::NotFound);
        s.drain().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn activating() {
    enumerate(async |s| {
        let job = enqueued(&s, json!({"pending": true})).await;
        let activated = s.engine.activate(&job.id).await;
        s.calm();
        if let Err(error) = activated {
            failed_well(&error);
            match s.stack.engine.activate(&job.id).await {
                Ok(_) => {}
                Err(error) => assert_eq!(error.code, ErrorCode::Conflict),
            }
        }
        s.finish(&job.id, State::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beating() {
    enumerate(async |s| {
        let job = claimed(&s, json!({})).await;
        let beat = Heartbeat { worker_id: "w".into(), jobs: vec![(job.id.clone(), None)], visibility_ms: None };
        let beaten = s.engine.heartbeat(beat).await;
        s.calm();
        match beaten {
            Ok(beaten) => assert_eq!(beaten.extended, std::slice::from_ref(&job.id)),
            Err(error) => failed_well(&error),
        }
        s.finish(&job.id, State::Completed).await;
    })
    .await;
}

/// Jobs that the tick finds in the due index.
async fn promoting(count: usize) {
    enumerate(async |s| {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(enqueued(&s, json!({"scheduled_at": "+PT1H"})).await.id);
        }
        s.stack.clock.advance_ms(3_500_000);
        let promoted: Result<_> = s.engine.send_due(TickBudget::UNLIMITED).await;
        s.calm();
        if let Err(error) = promoted {
            failed_well(&error);
        }
        s.drain().await;
        for id in &ids {
            let done = s.stack.get(id).await;
            assert_eq!(done.state, State::Completed);
            assert!(done.started_at.unwrap() >= done.scheduled_at.unwrap().at_ms, "never early");
            assert_eq!(done.attempt, 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promoting_one() {
    promoting(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promoting_several() {
    promoting(7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_a_native_dead_letter_queue() {
    enumerate(async |s| {
        // A live job whose message SQS has taken for poison, and a job that has ended.
        let live = enqueued(&s, json!({})).await;
        let done = claimed(&s, json!({})).await;
        let (live, done) = if done.id == live.id { (enqueued(&s, json!({})).await, done) } else { (live, done) };
        s.stack.engine.ack(Ack { id: done.id.clone(), holder: token(&done), result: None }).await.unwrap();
        s.bury(&[&live, &done]).await;
        s.have_the_turn().await;
        let drained = s.engine.redrive(TickBudget::UNLIMITED).await;
        s.calm();
        if let Err(error) = drained {
            failed_well(&error);
        }
        // What a tick that failed has received is hidden for a minute.
        s.stack.clock.advance_ms(61_000);
        s.have_the_turn().await;
        s.stack.engine.redrive(TickBudget::UNLIMITED).await.unwrap();
        s.finish(&live.id, State::Completed).await;
    })
    .await;
}

/// A cron job of the scenario's own that fires once in the near future, and then a year later.
struct Cron {
    name: String,
    due: i64,
}

impl Cron {
    fn request(&self, s: &Scenario<'_>, more: &serde_json::Value) -> serde_json::Value {
        let at = ojs_model::time::format_ms(self.due);
        let number = |range: std::ops::Range<usize>| at[range].parse::<u32>().unwrap();
        let expression = format!("{} {} {} {} *", number(14..16), number(11..13), number(8..10), number(5..7));
        let mut request =
            json!({"name": self.name, "expression": expression, "type": "test", "options": {"queue": s.queue}});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    }

    /// Due at the full minute after `wait_ms`.
    fn due_in(s: &Scenario<'_>, wait_ms: i64) -> Self {
        let due = (s.stack.engine.now_ms() + wait_ms) / 60_000 * 60_000 + 60_000;
        Self { name: s.queue.clone(), due }
    }

    async fn register(&self, s: &Scenario<'_>, more: serde_json::Value) {
        s.stack.engine.register_cron(fields(&self.request(s, &more))).await.unwrap();
    }

    fn job(&self) -> JobId {
        ojs_model::cron::job_id(&self.name, self.due)
    }

    /// Ticks and workers finish the work: the occurrence makes one job, which ends so, and the next one is a year away.
    async fn finish(&self, s: &Scenario<'_>) {
        if s.stack.engine.now_ms() < self.due {
            s.stack.go_to(self.due);
        }
        s.drain().await;
        let job = s.stack.get(&self.job()).await;
        assert_eq!(job.state, State::Completed, "{:?}", job.errors);
        let jobs = s.stack.engine.store().newest_jobs(&s.queue, 10).await.unwrap();
        assert_eq!(jobs.iter().filter(|id| **id == self.job()).count(), 1);
        let cron = s.stack.engine.get_cron(&self.name).await.unwrap();
        assert_eq!((cron.run_count, cron.last_run_at), (1, Some(self.due)));
        assert!(cron.next_run_at.unwrap() - self.due > 300 * 86_400_000);
        s.stack.engine.delete_cron(&self.name).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_a_cron_job() {
    for wait_ms in [5 * 60_000, 3_600_000] {
        enumerate(async |s| {
            let cron = Cron::due_in(&s, wait_ms);
            let request = cron.request(&s, &json!({}));
            let registered = s.engine.register_cron(fields(&request)).await;
            s.calm();
            if let Err(error) = registered {
                failed_well(&error);
                s.stack.engine.register_cron(fields(&request)).await.unwrap();
            }
            s.stack.go_to(cron.due - 30_000);
            s.stack.engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
            cron.finish(&s).await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_and_toggling_a_cron_job() {
    enumerate(async |s| {
        let cron = Cron::due_in(&s, 5 * 60_000);
        cron.register(&s, json!({"args": [0]})).await;
        let changed = async |engine: &ojs_core::Engine| -> Result<()> {
            engine.set_cron_enabled(&cron.name, false).await?;
            engine.register_cron(fields(&cron.request(&s, &json!({"args": [1]})))).await?;
            engine.set_cron_enabled(&cron.name, true).await.map(|_| ())
        };
        let done = changed(&s.engine).await;
        s.calm();
        if let Err(error) = done {
            failed_well(&error);
            changed(&s.stack.engine).await.unwrap();
        }
        cron.finish(&s).await;
        assert_eq!(s.stack.get(&cron.job()).await.args.get(), "[1]");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_cron_job() {
    enumerate(async |s| {
        let cron = Cron::due_in(&s, 5 * 60_000);
        cron.register(&s, json!({})).await;
        let deleted = s.engine.delete_cron(&cron.name).await;
        s.calm();
        if let Err(error) = deleted {
            failed_well(&error);
            match s.stack.engine.delete_cron(&cron.name).await {
                Ok(_) => {}
                Err(error) => assert_eq!(error.code, ErrorCode::NotFound),
            }
        }
        s.stack.go_to(cron.due);
        s.drain().await;
        assert_eq!(s.stack.engine.get(&cron.job()).await.unwrap_err().code, ErrorCode::NotFound, "it does not fire");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_ahead_for_a_cron_job() {
    enumerate(async |s| {
        let cron = Cron::due_in(&s, 3_600_000);
        cron.register(&s, json!({})).await;
        s.stack.go_to(cron.due - 60_000);
        let ticked = s.engine.cron_tick(TickBudget::UNLIMITED).await;
        s.calm();
        if let Err(error) = ticked {
            failed_well(&error);
        }
        cron.finish(&s).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn firing_by_a_tick() {
    // With a message that was sent ahead, and without.
    for wait_ms in [5 * 60_000, 3_600_000] {
        enumerate(async |s| {
            let cron = Cron::due_in(&s, wait_ms);
            cron.register(&s, json!({})).await;
            s.stack.go_to(cron.due + 20_000);
            let ticked = s.engine.cron_tick(TickBudget::UNLIMITED).await;
            s.calm();
            if let Err(error) = ticked {
                failed_well(&error);
            }
            cron.finish(&s).await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn firing_by_a_fetch() {
    enumerate(async |s| {
        let cron = Cron::due_in(&s, 5 * 60_000);
        cron.register(&s, json!({})).await;
        s.stack.go_to(cron.due);
        let fetched = s.engine.fetch(fetch(&s.queue)).await;
        s.calm();
        s.fetched(fetched);
        cron.finish(&s).await;
    })
    .await;
}

/// Two occurrences a minute apart; the first one's job is active when the second fires.
async fn overlapping(policy: &str, by_fetch: bool, first_ends: State, second: Option<State>) {
    enumerate(async |s| {
        let due = s.stack.engine.now_ms() / 60_000 * 60_000 + 60_000;
        let minute = |at: i64| ojs_model::time::format_ms(at)[14..16].parse::<u32>().unwrap();
        let hour = ojs_model::time::format_ms(due)[11..13].parse::<u32>().unwrap();
        // A pair of occurrences in one hour, which this run waits for.
        let due = if minute(due) == 59 { due + 60_000 } else { due };
        let hour = if minute(due) == 0 { ojs_model::time::format_ms(due)[11..13].parse().unwrap() } else { hour };
        let request = json!({
            "name": s.queue, "expression": format!("{},{} {hour} * * *", minute(due), minute(due + 60_000)), "type": "test",
            "options": {"queue": s.queue, "visibility_timeout_ms": 600_000}, "overlap_policy": policy,
        });
        s.stack.engine.register_cron(fields(&request)).await.unwrap();
        let long = || Fetch { visibility_ms: None, ..fetch(&s.queue) };
        s.stack.go_to(due);
        let first = s.stack.engine.fetch(long()).await.unwrap().remove(0);
        s.stack.go_to(due + 60_000);
        if by_fetch {
            s.fetched(s.engine.fetch(long()).await);
        } else if let Err(error) = s.engine.cron_tick(TickBudget::UNLIMITED).await {
            failed_well(&error);
        }
        s.calm();
        // The tick a minute later, while the first job still runs.
        s.stack.clock.advance_ms(60_000);
        s.stack.engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
        let id = ojs_model::cron::job_id(&s.queue, due + 60_000);
        if policy == "enqueue" {
            assert_eq!(s.stack.get(&id).await.state, State::Available);
            assert!(s.stack.engine.fetch(long()).await.unwrap().is_empty(), "the first one runs");
        }
        if first_ends == State::Completed {
            s.stack.ack(&first.id).await.unwrap();
        }
        s.stack.engine.set_cron_enabled(&s.queue, false).await.unwrap();
        s.drain().await;
        assert_eq!(s.stack.get(&first.id).await.state, first_ends);
        match second {
            Some(end) => assert_eq!(s.stack.get(&id).await.state, end),
            None => assert_eq!(s.stack.engine.get(&id).await.unwrap_err().code, ErrorCode::NotFound),
        }
        let cron = s.stack.engine.get_cron(&s.queue).await.unwrap();
        assert_eq!((cron.run_count, cron.skip_count), if second.is_some() { (2, 0) } else { (1, 1) });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skipping_by_a_tick() {
    overlapping("skip", false, State::Completed, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skipping_by_a_fetch() {
    overlapping("skip", true, State::Completed, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_the_previous_job_by_a_tick() {
    overlapping("cancel_previous", false, State::Cancelled, Some(State::Completed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_the_previous_job_by_a_fetch() {
    overlapping("cancel_previous", true, State::Cancelled, Some(State::Completed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_the_previous_job_by_a_tick() {
    overlapping("enqueue", false, State::Completed, Some(State::Completed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_the_previous_job_by_a_fetch() {
    overlapping("enqueue", true, State::Completed, Some(State::Completed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_a_job_that_another_waits_for() {
    enumerate(async |s| {
        let due = s.stack.engine.now_ms() / 60_000 * 60_000 + 60_000;
        let request = json!({
            "name": s.queue, "expression": "* * * * *", "type": "test", "overlap_policy": "enqueue",
            "options": {"queue": s.queue, "visibility_timeout_ms": 600_000},
        });
        s.stack.engine.register_cron(fields(&request)).await.unwrap();
        s.stack.go_to(due);
        let first = s.stack.engine.fetch(Fetch { visibility_ms: None, ..fetch(&s.queue) }).await.unwrap().remove(0);
        s.stack.go_to(due + 61_000);
        s.stack.engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
        s.stack.engine.set_cron_enabled(&s.queue, false).await.unwrap();
        let ack = || Ack { id: first.id.clone(), holder: token(&first), result: None };
        let acked = s.engine.ack(ack()).await;
        s.calm();
        if let Err(error) = acked {
            failed_well(&error);
            s.stack.engine.ack(ack()).await.unwrap();
        }
        s.finish(&ojs_model::cron::job_id(&s.queue, due + 60_000), State::Completed).await;
    })
    .await;
}

/// The first worker has fallen silent and its lease has lapsed; the second one sends only the job's id.
#[tokio::test(flavor = "multi_thread")]
async fn acking_what_a_silent_worker_had() {
    enumerate(async |s| {
        let beat = Heartbeat { worker_id: "silent".into(), jobs: vec![], visibility_ms: None };
        s.stack.engine.heartbeat(beat).await.unwrap();
        let request = json!({"type": "test", "args": [], "options": {"queue": s.queue}});
        let id = s.stack.engine.enqueue(fields(&request)).await.unwrap().job.id;
        let fetch = async |worker: &str| {
            let fetch = Fetch {
                queues: vec![s.queue.clone()],
                count: 1,
                worker_id: Some(worker.into()),
                visibility_ms: Some(30_000),
            };
            s.stack.engine.fetch(fetch).await.unwrap().remove(0)
        };
        fetch("silent").await;
        s.stack.clock.advance_ms(31_000);
        fetch("next").await;
        let ack = || Ack { id: id.clone(), holder: Holder::default(), result: None };
        let acked = Box::pin(s.engine.ack(ack())).await;
        s.calm();
        match acked {
            Ok(_) => {}
            Err(error) => {
                failed_well(&error);
                if let Err(error) = Box::pin(s.stack.engine.ack(ack())).await {
                    assert_eq!(error.code, ErrorCode::Conflict, "{error}");
                }
            }
        }
        assert_eq!(s.stack.get(&id).await.attempt, 2, "{:?}", s.plan());
        s.finish(&id, State::Completed).await;
    })
    .await;
}
