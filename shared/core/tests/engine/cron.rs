//! Cron jobs fire on their second, once, whoever looks: a fetch that meets the message sent ahead, or a tick.
#![allow(clippy::unwrap_used, missing_docs)]

use ojs_core::Engine;
use ojs_core::engine::{Ack, CronQuery, EventQuery, Fetch, Nack, TickBudget};
use ojs_model::ErrorCode;
use ojs_model::cron::{Cron, SkipReason, job_id};
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::raw;
use ojs_model::time::{format_ms, parse_rfc3339};
use ojs_testkit::{START_MS, TestStack, fields};
use serde_json::json;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

async fn tick(engine: &Engine) -> (usize, usize, usize) {
    let done = engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
    assert_eq!((done.failed, done.more), (0, false));
    (done.fired, done.skipped, done.woken)
}

async fn cron(stack: &TestStack, name: &str) -> Cron {
    stack.engine.get_cron(name).await.unwrap()
}

/// Up to `count` jobs of queue `default`, under the server's long lease.
async fn fetch(stack: &TestStack, count: usize) -> Vec<Job> {
    fetch_from(stack, "default", count).await
}

async fn fetch_from(stack: &TestStack, queue: &str, count: usize) -> Vec<Job> {
    let fetch = Fetch { queues: vec![queue.to_owned()], count, worker_id: None, visibility_ms: None };
    stack.engine.fetch(fetch).await.unwrap()
}

/// When the job's occurrence was due.
fn occurrence(job: &Job) -> i64 {
    job.cron.as_ref().unwrap().at_ms
}

async fn end(stack: &TestStack, job: &Job) {
    stack.ack(&job.id).await.unwrap();
}

#[tokio::test]
async fn a_registration_seconds_before_its_time_fires_on_it_without_any_tick() {
    let stack = TestStack::start().await;
    stack.clock.advance_ms(57_400);
    let registered = stack.register("soon", "* * * * *", json!({"args": [7], "meta": {"k": 1}})).await;
    assert_eq!(registered.next_run_at, Some(START_MS + MINUTE));
    assert!(fetch(&stack, 1).await.is_empty());
    stack.clock.advance_ms(2_000);
    // 0.6 s before its time: the fetch waits it out.
    let job = fetch(&stack, 1).await.pop().unwrap();
    assert_eq!((job.started_at, job.attempt), (Some(START_MS + MINUTE), 1));
    assert_eq!(job.id, job_id("soon", START_MS + MINUTE));
    assert_eq!(job.args.get(), "[7]");
    assert_eq!(
        job.meta.as_ref().unwrap().get(),
        r#"{"cron_name":"soon","cron_triggered_at":"2026-11-24T09:01:00.000Z","k":1}"#
    );
    let after = cron(&stack, "soon").await;
    assert_eq!((after.last_run_at, after.next_run_at), (Some(START_MS + MINUTE), Some(START_MS + 2 * MINUTE)));
    assert_eq!((after.run_count, after.last_job.as_ref()), (1, Some(&job.id)));
    stack.stop().await;
}

#[tokio::test]
async fn every_occurrence_follows_from_the_one_before_while_workers_ask() {
    let stack = TestStack::start().await;
    stack.register("often", "*/5 * * * * *", json!({})).await;
    let mut starts = Vec::new();
    for _ in 0..4 * 70 {
        for job in fetch(&stack, 10).await {
            assert_eq!(job.started_at.unwrap(), occurrence(&job), "on its second");
            starts.push(occurrence(&job));
            end(&stack, &job).await;
        }
        stack.clock.advance_ms(250);
    }
    let first = starts[0];
    assert_eq!(first, START_MS + 5 * SECOND);
    assert!(starts.len() >= 12 && starts.windows(2).all(|pair| pair[1] - pair[0] == 5 * SECOND), "{starts:?}");
    assert_eq!(cron(&stack, "often").await.run_count, starts.len() as u64);
    stack.stop().await;
}

#[tokio::test]
async fn a_tick_sends_a_message_ahead_and_the_job_starts_on_its_second() {
    let stack = TestStack::start().await;
    stack.register("daily", "0 11 * * *", json!({})).await;
    let due = START_MS + 2 * HOUR;
    assert_eq!(stack.aws.sqs.message_count(), 0, "too far ahead for SQS");
    assert_eq!(tick(&stack.engine).await, (0, 0, 0));
    stack.go_to(due - 2 * MINUTE - SECOND);
    assert_eq!(tick(&stack.engine).await, (0, 0, 0), "not within sight yet");
    stack.go_to(due - MINUTE - 800);
    assert_eq!(tick(&stack.engine).await, (0, 0, 1));
    assert_eq!(tick(&stack.engine).await, (0, 0, 0), "sent once");
    assert_eq!(stack.aws.sqs.message_count(), 1);
    stack.go_to(due - 700);
    let job = fetch(&stack, 1).await.pop().unwrap();
    assert_eq!((job.started_at, job.attempt), (Some(due), 1));
    assert_eq!(tick(&stack.engine).await, (0, 0, 0));
    end(&stack, &job).await;
    assert_eq!(stack.aws.sqs.message_count(), 0);
    stack.stop().await;
}

#[tokio::test]
async fn without_a_worker_the_tick_fires_and_the_job_waits() {
    let stack = TestStack::start().await;
    stack.register("hourly", "@hourly", json!({})).await;
    let due = START_MS + HOUR;
    stack.go_to(due - MINUTE);
    assert_eq!(tick(&stack.engine).await, (0, 0, 1));
    stack.go_to(due + 30 * SECOND);
    assert_eq!(tick(&stack.engine).await, (1, 0, 0));
    assert_eq!(tick(&stack.engine).await, (0, 0, 0));
    let job = stack.get(&job_id("hourly", due)).await;
    assert_eq!((job.state, occurrence(&job)), (State::Available, due));
    assert_eq!(
        stack.aws.sqs.message_count(),
        2,
        "a message of its own, whatever became of the one that was sent ahead"
    );
    let fetched = fetch(&stack, 10).await;
    assert_eq!(fetched.iter().map(|job| &job.id).collect::<Vec<_>>(), [&job.id]);
    end(&stack, &job).await;
    // The one too many waits for the end of the lease, and is dropped then.
    stack.clock.advance_ms(1_800_000);
    assert!(fetch(&stack, 10).await.is_empty());
    assert_eq!(stack.aws.sqs.message_count(), 0);
    stack.stop().await;
}

#[tokio::test]
async fn second_by_second_schedules_fire_every_second_with_a_tick_a_minute_and_no_worker() {
    let stack = TestStack::start().await;
    stack.register("seconds", "* * * * * *", json!({"overlap_policy": "allow"})).await;
    for minute in 1..=3 {
        stack.go_to(START_MS + minute * MINUTE);
        assert_eq!(tick(&stack.engine).await.0, 60);
    }
    let mut found: Vec<i64> = Vec::new();
    loop {
        let jobs = fetch(&stack, 100).await;
        if jobs.is_empty() {
            break;
        }
        for job in jobs {
            found.push(occurrence(&job));
            end(&stack, &job).await;
        }
    }
    found.sort_unstable();
    // Workers ask at 09:03:00, so that the next one is not due.
    let expected: Vec<i64> = (1..=180).map(|second| START_MS + second * SECOND).collect();
    assert_eq!(found, expected);
    stack.stop().await;
}

#[tokio::test]
async fn after_an_outage_the_latest_occurrence_fires_once() {
    let stack = TestStack::start().await;
    stack.register("minutely", "* * * * *", json!({"overlap_policy": "allow"})).await;
    stack.go_to(START_MS + 26 * HOUR + 17 * SECOND);
    assert_eq!(tick(&stack.engine).await, (1, 0, 0));
    let after = cron(&stack, "minutely").await;
    let latest = START_MS + 26 * HOUR;
    assert_eq!((after.last_run_at, after.next_run_at), (Some(latest), Some(latest + MINUTE)));
    assert_eq!((after.run_count, after.skip_count), (1, 1));
    assert_eq!((after.skips[0].at_ms, after.skips[0].reason), (START_MS + MINUTE, SkipReason::Missed));
    // The message that was sent ahead for the first occurrence makes no second job.
    let jobs = fetch(&stack, 10).await;
    assert_eq!(jobs.iter().map(occurrence).collect::<Vec<_>>(), [latest]);
    end(&stack, &jobs[0]).await;
    stack.clock.advance_ms(2 * 60 * 1_000);
    for job in fetch(&stack, 10).await {
        end(&stack, &job).await;
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_fetch_after_an_outage_fires_the_latest_occurrence_too() {
    let stack = TestStack::start().await;
    stack.register("minutely", "* * * * *", json!({})).await;
    stack.go_to(START_MS + 3 * HOUR);
    let jobs = fetch(&stack, 10).await;
    assert_eq!(jobs.iter().map(occurrence).collect::<Vec<_>>(), [START_MS + 3 * HOUR]);
    assert_eq!(cron(&stack, "minutely").await.run_count, 1);
    stack.stop().await;
}

#[tokio::test]
async fn skip_decides_as_of_the_moment_of_firing() {
    let stack = TestStack::start().await;
    stack.register("skips", "* * * * *", json!({})).await;
    stack.go_to(START_MS + MINUTE);
    let first = fetch(&stack, 1).await.pop().unwrap();
    // The tick that looks ahead sees a job that runs, and decides nothing.
    stack.go_to(START_MS + MINUTE + 30 * SECOND);
    tick(&stack.engine).await;
    stack.go_to(START_MS + 2 * MINUTE - SECOND);
    end(&stack, &first).await;
    stack.go_to(START_MS + 2 * MINUTE);
    let second = fetch(&stack, 1).await.pop().expect("the first job had ended in time");
    // This one ends a second after the next occurrence was due, and before anybody looks.
    stack.go_to(START_MS + 3 * MINUTE + SECOND);
    end(&stack, &second).await;
    stack.go_to(START_MS + 3 * MINUTE + 2 * SECOND);
    assert!(fetch(&stack, 1).await.is_empty());
    let after = cron(&stack, "skips").await;
    assert_eq!((after.run_count, after.skip_count, after.next_run_at), (2, 1, Some(START_MS + 4 * MINUTE)));
    let skip = &after.skips[0];
    assert_eq!((skip.at_ms, skip.reason), (START_MS + 3 * MINUTE, SkipReason::OverlapSkip));
    assert_eq!(skip.job.as_deref(), Some(second.id.as_str()));
    // A job that nobody has fetched is in the way as well.
    stack.go_to(START_MS + 4 * MINUTE + SECOND);
    assert_eq!(tick(&stack.engine).await, (1, 0, 0));
    stack.go_to(START_MS + 5 * MINUTE + SECOND);
    assert_eq!(tick(&stack.engine).await, (0, 1, 0));
    stack.stop().await;
}

#[tokio::test]
async fn allow_runs_both() {
    let stack = TestStack::start().await;
    stack.register("both", "* * * * *", json!({"overlap_policy": "allow"})).await;
    stack.go_to(START_MS + MINUTE);
    let first = fetch(&stack, 1).await.pop().unwrap();
    stack.go_to(START_MS + 2 * MINUTE);
    let second = fetch(&stack, 1).await.pop().unwrap();
    assert_ne!(first.id, second.id);
    stack.stop().await;
}

#[tokio::test]
async fn cancel_previous_cancels_what_runs_and_what_waits() {
    let stack = TestStack::start().await;
    stack.register("newest", "* * * * *", json!({"overlap_policy": "cancel"})).await;
    stack.go_to(START_MS + MINUTE);
    let first = fetch(&stack, 1).await.pop().unwrap();
    stack.go_to(START_MS + 2 * MINUTE + SECOND);
    assert_eq!(tick(&stack.engine).await, (1, 0, 0));
    assert_eq!(stack.get(&first.id).await.state, State::Cancelled);
    let second = job_id("newest", START_MS + 2 * MINUTE);
    assert_eq!(stack.get(&second).await.state, State::Available);
    stack.go_to(START_MS + 3 * MINUTE + SECOND);
    assert_eq!(tick(&stack.engine).await, (1, 0, 0));
    let third = fetch(&stack, 1).await.pop().unwrap();
    assert_eq!(occurrence(&third), START_MS + 3 * MINUTE);
    assert_eq!(stack.get(&second).await.state, State::Cancelled);
    // One that has ended is left as it is.
    end(&stack, &third).await;
    stack.go_to(START_MS + 4 * MINUTE);
    assert_eq!(fetch(&stack, 1).await.len(), 1);
    assert_eq!(stack.get(&third.id).await.state, State::Completed);
    stack.stop().await;
}

#[tokio::test]
async fn enqueue_runs_one_after_the_other() {
    let stack = TestStack::start().await;
    stack.register("ordered", "* * * * *", json!({"overlap_policy": "enqueue"})).await;
    stack.go_to(START_MS + MINUTE);
    let first = fetch(&stack, 10).await.pop().unwrap();
    for minute in 2..=4 {
        stack.go_to(START_MS + minute * MINUTE + SECOND);
        tick(&stack.engine).await;
        assert!(fetch(&stack, 10).await.is_empty(), "the first job has not ended");
    }
    let after = cron(&stack, "ordered").await;
    assert_eq!((after.run_count, after.skip_count, after.backlog), (4, 0, 3));
    for minute in 2..=4 {
        let job = stack.get(&job_id("ordered", START_MS + minute * MINUTE)).await;
        assert_eq!(job.state, State::Available, "it exists, and waits");
    }
    // Each end lets the next one start at once.
    let mut running = first;
    for minute in 2..=4 {
        end(&stack, &running).await;
        let mut jobs = fetch(&stack, 10).await;
        assert_eq!(jobs.iter().map(occurrence).collect::<Vec<_>>(), [START_MS + minute * MINUTE]);
        running = jobs.remove(0);
    }
    end(&stack, &running).await;
    stack.go_to(START_MS + 5 * MINUTE);
    assert_eq!(fetch(&stack, 10).await.len(), 1);
    assert_eq!(cron(&stack, "ordered").await.backlog, 0);
    stack.stop().await;
}

#[tokio::test]
async fn a_waiting_job_starts_when_the_clock_ends_the_one_before() {
    let stack = TestStack::start().await;
    let template = json!({"type": "test", "options": {"retry": {"max_attempts": 1}, "visibility_timeout_ms": 90_000}});
    stack.register("ordered", "* * * * *", json!({"overlap_policy": "enqueue", "job_template": template})).await;
    stack.go_to(START_MS + MINUTE);
    let first = fetch(&stack, 10).await.pop().unwrap();
    stack.go_to(START_MS + 2 * MINUTE);
    assert!(fetch(&stack, 10).await.is_empty());
    // The lease of the first lapses at 2:30, and it has no attempt left.
    stack.go_to(START_MS + 2 * MINUTE + 31 * SECOND);
    let second = fetch(&stack, 10).await.pop().expect("nothing is in its way any more");
    assert_eq!(occurrence(&second), START_MS + 2 * MINUTE);
    assert_eq!(stack.get(&first.id).await.state, State::Discarded);
    stack.stop().await;
}

#[tokio::test]
async fn a_failed_job_of_a_cron_job_is_retried_like_any_other() {
    let stack = TestStack::start().await;
    let options = json!({"retry": {"initial_interval": "PT5S", "jitter": false}});
    stack.register("fails", "@hourly", json!({"options": options})).await;
    stack.go_to(START_MS + HOUR - MINUTE);
    tick(&stack.engine).await;
    stack.go_to(START_MS + HOUR);
    let job = fetch(&stack, 1).await.pop().unwrap();
    let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
    let nack = Nack { id: job.id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false };
    stack.engine.nack(nack).await.unwrap();
    stack.clock.advance_ms(5_000);
    let again = fetch(&stack, 1).await.pop().unwrap();
    assert_eq!((&again.id, again.attempt), (&job.id, 2));
    end(&stack, &job).await;
    // Nothing comes of any message that is left.
    stack.clock.advance_ms(30 * 60_000);
    assert!(fetch(&stack, 10).await.is_empty());
    assert_eq!(stack.aws.sqs.message_count(), 0);
    stack.stop().await;
}

#[tokio::test]
async fn a_registration_that_changes_nothing_writes_nothing_and_one_that_does_keeps_the_time() {
    let stack = TestStack::start().await;
    let more = || json!({"timezone": "Europe/Berlin", "args": [1]});
    let first = stack.register("app", "@every 10m", more()).await;
    stack.clock.advance_ms(9 * 60_000);
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    let again =
        json!({"name": "app", "expression": "@every 10m", "type": "test", "timezone": "Europe/Berlin", "args": [1]});
    let registered = engine.register_cron(fields(&again)).await.unwrap();
    assert_eq!((registered.created, registered.cron.revision), (false, first.revision));
    let calls: Vec<_> = wire.take_calls().into_iter().map(|call| call.action).collect();
    assert_eq!(calls, ["GetItem"]);
    // Other args, the same times: the period is not started over.
    let changed = stack.register("app", "@every 10m", json!({"timezone": "Europe/Berlin", "args": [2]})).await;
    assert_eq!((changed.next_run_at, changed.created_at), (first.next_run_at, first.created_at));
    stack.clock.advance_ms(60_000);
    assert_eq!(fetch(&stack, 1).await[0].args.get(), "[2]");
    // Other times: counted from now, and what was counted stays.
    let moved = stack.register("app", "0 12 * * *", json!({})).await;
    assert_eq!(format_ms(moved.next_run_at.unwrap()), "2026-11-24T12:00:00.000Z");
    assert_eq!((moved.run_count, moved.created_at), (1, first.created_at));
    stack.stop().await;
}

#[tokio::test]
async fn another_queue_gets_its_own_message() {
    let stack = TestStack::start().await;
    stack.register("moves", "* * * * *", json!({})).await;
    stack.register("moves", "* * * * *", json!({"options": {"queue": "other"}})).await;
    stack.go_to(START_MS + MINUTE);
    assert!(fetch(&stack, 1).await.is_empty(), "not in the old queue");
    let job = fetch_from(&stack, "other", 1).await.pop().unwrap();
    assert_eq!(job.started_at, Some(START_MS + MINUTE));
    stack.stop().await;
}

#[tokio::test]
async fn disabled_cron_jobs_do_not_fire() {
    let stack = TestStack::start().await;
    stack.register("toggled", "* * * * *", json!({})).await;
    let off = stack.engine.set_cron_enabled("toggled", false).await.unwrap();
    assert_eq!((off.next_run_at, off.definition.enabled), (None, false));
    stack.go_to(START_MS + MINUTE);
    assert!(fetch(&stack, 1).await.is_empty());
    assert_eq!(tick(&stack.engine).await, (0, 0, 0));
    stack.go_to(START_MS + 5 * MINUTE + 10 * SECOND);
    let on = stack.engine.set_cron_enabled("toggled", true).await.unwrap();
    assert_eq!(on.next_run_at, Some(START_MS + 6 * MINUTE), "what was missed meanwhile is lost");
    stack.go_to(START_MS + 6 * MINUTE);
    assert_eq!(occurrence(&fetch(&stack, 1).await[0]), START_MS + 6 * MINUTE);
    assert_eq!(stack.engine.set_cron_enabled("nobody", true).await.unwrap_err().code, ErrorCode::NotFound);
    stack.stop().await;
}

#[tokio::test]
async fn deleted_cron_jobs_do_not_fire_and_their_jobs_live_on() {
    let stack = TestStack::start().await;
    stack.register("gone", "* * * * *", json!({})).await;
    stack.go_to(START_MS + MINUTE);
    let job = fetch(&stack, 1).await.pop().unwrap();
    stack.engine.delete_cron("gone").await.unwrap();
    assert_eq!(stack.engine.delete_cron("gone").await.unwrap_err().code, ErrorCode::NotFound);
    stack.go_to(START_MS + 2 * MINUTE);
    assert!(fetch(&stack, 1).await.is_empty());
    assert_eq!(tick(&stack.engine).await, (0, 0, 0));
    end(&stack, &job).await;
    // The job's own message has been put back until the end of its lease meanwhile.
    stack.clock.advance_ms(1_800_000);
    assert!(fetch(&stack, 10).await.is_empty());
    assert_eq!(stack.aws.sqs.message_count(), 0, "what was sent ahead is dropped");
    // A job that a tick has made, and whose message nobody has seen.
    stack.register("brief", "* * * * *", json!({})).await;
    let due = cron(&stack, "brief").await.next_run_at.unwrap();
    stack.go_to(due);
    assert_eq!(tick(&stack.engine).await.0, 1);
    stack.engine.delete_cron("brief").await.unwrap();
    let made = fetch(&stack, 1).await.pop().expect("its message is looked at as any other");
    assert_eq!(made.id, job_id("brief", due));
    end(&stack, &made).await;
    // Registered anew, it fires again; an occurrence of its earlier life does not.
    stack.register("gone", "* * * * *", json!({})).await;
    let next = cron(&stack, "gone").await.next_run_at.unwrap();
    stack.go_to(next);
    assert_eq!(occurrence(&fetch(&stack, 1).await[0]), next);
    stack.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_an_occurrences_id_does_not_keep_it_from_firing() {
    let stack = TestStack::start().await;
    let due = START_MS + MINUTE;
    for by_tick in [false, true] {
        let name = if by_tick { "ticked" } else { "fetched" };
        stack.register(name, "* * * * *", json!({"overlap_policy": "allow"})).await;
        let at = if by_tick { due + MINUTE } else { due };
        let taken = job_id(name, at);
        let request = json!({"type": "other", "args": [], "id": taken.as_str()});
        stack.engine.enqueue(fields(&request)).await.unwrap();
        stack.go_to(at);
        if by_tick {
            assert_eq!(tick(&stack.engine).await.0, 1);
        }
        let mut jobs = fetch(&stack, 10).await;
        jobs.extend(fetch(&stack, 10).await);
        assert_eq!(jobs.len(), 2, "{name}: the client's job and the occurrence's");
        let made = jobs.iter().find(|job| job.cron.is_some()).expect("the occurrence has its job");
        assert!(made.id != taken && occurrence(made) == at);
        assert_eq!(cron(&stack, name).await.run_count, 1);
        stack.engine.delete_cron(name).await.unwrap();
        for job in &jobs {
            end(&stack, job).await;
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn an_occurrence_that_has_made_its_job_makes_no_second_one_in_a_later_life() {
    let stack = TestStack::start().await;
    stack.register("again", "* * * * *", json!({"overlap_policy": "allow"})).await;
    let due = START_MS + MINUTE;
    stack.go_to(due);
    let job = fetch(&stack, 1).await.pop().unwrap();
    end(&stack, &job).await;
    stack.engine.delete_cron("again").await.unwrap();
    // An instance whose clock is behind believes that the occurrence is still to come.
    let behind = stack.skewed(-2_000).await;
    let request = json!({"name": "again", "expression": "* * * * *", "type": "test", "overlap_policy": "allow"});
    let registered = behind.register_cron(fields(&request)).await.unwrap().cron;
    assert_eq!(registered.next_run_at, Some(due));
    stack.clock.advance_ms(3_000);
    assert_eq!(tick(&stack.engine).await, (0, 0, 0), "known already");
    assert!(fetch(&stack, 10).await.is_empty());
    assert_eq!(stack.get(&job.id).await.state, State::Completed);
    let after = cron(&stack, "again").await;
    assert_eq!((after.next_run_at, after.last_run_at, after.run_count), (Some(due + MINUTE), Some(due), 0));
    stack.stop().await;
}

#[tokio::test]
async fn templates_may_delay_and_expire() {
    let stack = TestStack::start().await;
    for (name, options) in [
        ("delayed", json!({"scheduled_at": "+PT20S"})),
        ("late", json!({"scheduled_at": "+PT1H"})),
        ("expires", json!({"expires_at": "+PT10S"})),
    ] {
        stack.register(name, "1 9 24 11 *", json!({"options": options})).await;
    }
    let due = START_MS + MINUTE;
    stack.go_to(due + SECOND);
    assert_eq!(tick(&stack.engine).await.0, 3);
    let states = async || {
        let mut states = Vec::new();
        for name in ["delayed", "late", "expires"] {
            states.push(stack.get(&job_id(name, due)).await.state);
        }
        states
    };
    use State::{Available, Discarded, Scheduled};
    assert_eq!(states().await, [Scheduled, Scheduled, Available]);
    stack.go_to(due + 15 * SECOND);
    assert!(fetch(&stack, 10).await.is_empty());
    assert_eq!(states().await, [Scheduled, Scheduled, Discarded]);
    stack.go_to(due + 22 * SECOND);
    assert_eq!(fetch(&stack, 10).await[0].id, job_id("delayed", due));
    stack.go_to(due + HOUR);
    stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    stack.go_to(due + HOUR + SECOND);
    let late = fetch(&stack, 10).await;
    assert!(late.iter().any(|job| job.id == job_id("late", due)));
    stack.stop().await;
}

#[tokio::test]
async fn clocks_that_change_are_followed_to_the_second() {
    for (zone, expression, start, fires) in [
        // 2:30 does not exist on 2027-03-14 in New York.
        (
            "America/New_York",
            "30 2 * * *",
            "2027-03-13T00:00:00Z",
            vec!["2027-03-13T07:30:00Z", "2027-03-15T06:30:00Z"],
        ),
        // 2:30 exists twice on 2026-10-25 in Berlin.
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", vec!["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        // Half an hour is missing on 2027-10-03 on Lord Howe.
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2027-10-01T12:00:00Z",
            vec!["2027-10-01T15:45:00Z", "2027-10-03T15:15:00Z"],
        ),
    ] {
        let stack = TestStack::start().await;
        // Before the test clock's own beginning, where need be.
        stack.clock.0.set_ms(parse_rfc3339(start).unwrap());
        stack.register("zoned", expression, json!({"timezone": zone})).await;
        for expected in &fires {
            let due = parse_rfc3339(expected).unwrap();
            assert_eq!(cron(&stack, "zoned").await.next_run_at, Some(due), "{zone}");
            stack.go_to(due - MINUTE - 400);
            tick(&stack.engine).await;
            stack.go_to(due - 300);
            let job = fetch(&stack, 1).await.pop().unwrap_or_else(|| panic!("{zone}: not at {expected}"));
            assert_eq!(job.started_at, Some(due), "{zone}");
            end(&stack, &job).await;
        }
        let reasons: Vec<_> = cron(&stack, "zoned").await.skips.iter().map(|skip| skip.reason).collect();
        let expected: &[SkipReason] = if zone == "Europe/Berlin" { &[] } else { &[SkipReason::DstSkip] };
        assert_eq!(reasons, expected, "{zone}");
        stack.stop().await;
    }
}

#[tokio::test]
async fn instances_that_disagree_about_the_time_fire_once() {
    let stack = TestStack::start().await;
    let (ahead, behind) = (stack.skewed(2_000).await, stack.skewed(-2_000).await);
    stack.register("skewed", "*/10 * * * * *", json!({"overlap_policy": "allow"})).await;
    let mut found = Vec::new();
    for _ in 0..200 {
        for engine in [&ahead, &stack.engine, &behind] {
            engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
            for job in engine.fetch(stack.fetch_request("w", 10)).await.unwrap() {
                let early = occurrence(&job) - stack.engine.now_ms();
                assert!(early <= 2_000, "earlier than the fastest clock says");
                engine.ack(Ack { id: job.id.clone(), holder: Holder::default(), result: None }).await.unwrap();
                found.push(job.id);
            }
        }
        stack.clock.advance_ms(500);
    }
    let count = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!((count, found.len() as u64), (found.len(), cron(&stack, "skewed").await.run_count));
    assert!(found.len() >= 10);
    stack.stop().await;
}

#[tokio::test]
async fn a_broken_cron_job_delays_only_itself() {
    let stack = TestStack::start().await;
    stack.register("good", "* * * * *", json!({})).await;
    stack.register("bad", "* * * * *", json!({})).await;
    // As if a later version, or another time zone database, had stored it.
    let mut broken = cron(&stack, "bad").await;
    broken.definition.timezone = "Mars/Olympus".to_owned();
    let old = cron(&stack, "bad").await;
    stack.engine.store().put_cron(Some(&old), &broken, 1).await.unwrap();
    stack.go_to(START_MS + MINUTE + SECOND);
    let done = stack.engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
    assert_eq!((done.fired, done.failed), (1, 1));
    let jobs = fetch(&stack, 10).await;
    assert_eq!(jobs.iter().map(|job| &job.id).collect::<Vec<_>>(), [&job_id("good", START_MS + MINUTE)]);
    stack.stop().await;
}

#[tokio::test]
async fn cron_jobs_are_listed_by_name_in_pages() {
    let stack = TestStack::start().await;
    let names: Vec<String> = (0..25).map(|i| format!("cron-{i:02}")).collect();
    for (i, name) in names.iter().enumerate() {
        stack.register(name, "@daily", json!({"enabled": i % 2 == 0})).await;
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = stack
            .engine
            .list_crons(CronQuery { after: after.clone(), limit: 10, ..CronQuery::default() })
            .await
            .unwrap();
        assert!(page.crons.len() <= 10);
        found.extend(page.crons.iter().map(|cron| cron.name().to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, names);
    let enabled =
        stack.engine.list_crons(CronQuery { enabled: Some(false), limit: 100, ..CronQuery::default() }).await.unwrap();
    assert_eq!(enabled.crons.len(), 12);
    stack.stop().await;
}

/// Empties the queue behind the engine's back.
async fn lose_messages(stack: &TestStack) {
    let sqs = stack.sqs().await;
    let url = sqs.get_queue_url().queue_name("ojs-default").send().await.unwrap().queue_url.unwrap();
    sqs.purge_queue().queue_url(url).send().await.unwrap();
}

#[tokio::test]
async fn a_lost_message_costs_a_minute_and_not_the_cron_job() {
    let stack = TestStack::start().await;
    stack.register("purged", "* * * * *", json!({})).await;
    lose_messages(&stack).await;
    stack.go_to(START_MS + MINUTE + 20 * SECOND);
    assert_eq!(tick(&stack.engine).await, (1, 0, 0));
    let job = fetch(&stack, 1).await.pop().expect("the job has a message of its own");
    assert_eq!(occurrence(&job), START_MS + MINUTE);
    end(&stack, &job).await;
    stack.go_to(START_MS + 2 * MINUTE);
    assert_eq!(occurrence(&fetch(&stack, 1).await[0]), START_MS + 2 * MINUTE);
    stack.stop().await;
}

#[tokio::test]
async fn a_message_in_the_native_dead_letter_queue_costs_a_minute() {
    let stack = TestStack::start().await;
    stack.register("buried", "* * * * *", json!({})).await;
    let sqs = stack.sqs().await;
    let url = async |name: &str| sqs.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap();
    let (main, dead) = (url("ojs-default").await, url("ojs-default-dlq").await);
    stack.go_to(START_MS + MINUTE);
    let taken = sqs.receive_message().queue_url(&main).send().await.unwrap();
    let message = &taken.messages()[0];
    sqs.send_message().queue_url(&dead).message_body(message.body().unwrap()).send().await.unwrap();
    sqs.delete_message().queue_url(&main).receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
    assert_eq!(stack.engine.redrive(TickBudget::UNLIMITED).await.unwrap().dropped, 1);
    assert!(fetch(&stack, 1).await.is_empty());
    assert_eq!(tick(&stack.engine).await.0, 1);
    assert_eq!(fetch(&stack, 1).await.len(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn a_cron_job_that_moves_to_another_queue_when_it_is_due_loses_nothing() {
    // The worker of the new queue asks before, between and after the calls of the registration.
    for at in 0..6 {
        let stack = TestStack::start().await;
        stack.register("moves", "* * * * *", json!({})).await;
        stack.go_to(START_MS + MINUTE + 10 * SECOND);
        let (engine, wire) = stack.instance(1).await;
        wire.disturb(ojs_fault_injection::Plan {
            at,
            fault: ojs_fault_injection::Fault::NotSent,
            then: ojs_fault_injection::Then::Dead,
        });
        let request =
            json!({"name": "moves", "expression": "* * * * *", "type": "test", "options": {"queue": "other"}});
        let first = engine.register_cron(fields(&request)).await;
        let mut jobs = fetch_from(&stack, "other", 10).await;
        if first.is_err() {
            stack.engine.register_cron(fields(&request)).await.unwrap();
        }
        jobs.extend(fetch_from(&stack, "other", 10).await);
        tick(&stack.engine).await;
        for queue in ["default", "other"] {
            jobs.extend(fetch_from(&stack, queue, 10).await);
        }
        let times: Vec<i64> = jobs.iter().map(occurrence).collect();
        assert_eq!(times, [START_MS + MINUTE], "crash at call {at}");
        stack.stop().await;
    }
}

#[tokio::test]
async fn a_broken_cron_job_in_front_does_not_keep_a_worker_from_the_others_jobs() {
    let stack = TestStack::start().await;
    stack.register("bad", "* * * * *", json!({})).await;
    let old = cron(&stack, "bad").await;
    let mut broken = old.clone();
    broken.definition.timezone = "Mars/Olympus".to_owned();
    stack.engine.store().put_cron(Some(&old), &broken, 1).await.unwrap();
    stack.go_to(START_MS + MINUTE);
    stack.enqueue(json!({})).await;
    assert_eq!(fetch(&stack, 1).await.len(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn an_item_that_cannot_be_read_hides_no_other() {
    let stack = TestStack::start().await;
    for name in ["a", "b", "c"] {
        stack.register(name, "* * * * *", json!({})).await;
    }
    let clients =
        ojs_core::aws::ConnectOptions { dynamodb_url: Some(stack.aws.dynamodb.url().to_owned()), ..Default::default() };
    let dynamodb = ojs_core::aws::Clients::connect(&stack.settings, clients).await.dynamodb;
    // As a later version may write it.
    dynamodb
        .update_item()
        .table_name(&stack.settings.table)
        .set_key(Some(ojs_core::store::keys::cron("b")))
        .update_expression("SET ov = :policy")
        .expression_attribute_values(":policy", aws_sdk_dynamodb::types::AttributeValue::S("replace".to_owned()))
        .send()
        .await
        .unwrap();
    let page = stack.engine.list_crons(CronQuery { limit: 10, ..CronQuery::default() }).await.unwrap();
    assert_eq!(page.crons.iter().map(Cron::name).collect::<Vec<_>>(), ["a", "c"]);
    stack.engine.events(EventQuery { limit: 10, ..EventQuery::default() }).await.unwrap();
    stack.go_to(START_MS + MINUTE);
    let done = stack.engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
    assert_eq!((done.fired, done.failed), (2, 1));
    assert_eq!(stack.engine.get_cron("b").await.unwrap_err().code, ErrorCode::InternalError);
    stack.stop().await;
}

#[tokio::test]
async fn jobs_that_wait_for_each_other_rest_and_never_run_side_by_side() {
    let stack = TestStack::start().await;
    stack.register("ordered", "* * * * *", json!({"overlap_policy": "enqueue"})).await;
    stack.go_to(START_MS + MINUTE);
    let first = fetch(&stack, 1).await.pop().unwrap();
    for minute in 2..=6 {
        stack.go_to(START_MS + minute * MINUTE + SECOND);
        tick(&stack.engine).await;
        assert!(fetch(&stack, 10).await.is_empty());
    }
    stack.engine.set_cron_enabled("ordered", false).await.unwrap();
    // Five jobs wait. Asked every second for a minute, that costs a few looks at each, and not one a second.
    let (engine, wire) = stack.instance(1).await;
    let ask = async || {
        let fetch = Fetch { queues: vec!["default".into()], count: 10, worker_id: None, visibility_ms: None };
        engine.fetch(fetch).await.unwrap()
    };
    ask().await;
    wire.meter();
    for _ in 0..60 {
        stack.clock.advance_ms(1_000);
        assert!(ask().await.is_empty());
    }
    let calls = wire.take_calls();
    // The queue's state and a receive are what every fetch takes.
    let looks = calls.iter().filter(|call| !matches!(call.action.as_str(), "ReceiveMessage" | "BatchGetItem")).count();
    assert!(looks <= 5 * 2 * 6, "{looks} calls");
    // One that is cancelled while it waits lets nobody past the one that runs.
    let id = |minute: i64| job_id("ordered", START_MS + minute * MINUTE);
    stack.engine.cancel(&id(3)).await.unwrap();
    stack.engine.cancel(&id(4)).await.unwrap();
    for _ in 0..3 {
        assert!(fetch(&stack, 10).await.is_empty());
        stack.clock.advance_ms(61_000);
    }
    end(&stack, &first).await;
    let mut order = Vec::new();
    for _ in 0..30 {
        let jobs = fetch(&stack, 10).await;
        assert!(jobs.len() <= 1, "two run side by side");
        for job in jobs {
            order.push(occurrence(&job));
            end(&stack, &job).await;
        }
        stack.clock.advance_ms(15_000);
    }
    assert_eq!(order, [2, 5, 6].map(|minute| START_MS + minute * MINUTE));
    stack.stop().await;
}

#[tokio::test]
async fn duplicates_do_not_multiply() {
    let faults = ojs_emulators::SqsFaults { duplicate_delivery: 0.7, ..Default::default() };
    let stack = TestStack::start_with(ojs_core::Settings::default(), faults).await;
    stack.register("often", "*/2 * * * * *", json!({"overlap_policy": "allow"})).await;
    for _ in 0..100 {
        stack.clock.advance_ms(2_000);
        tick(&stack.engine).await;
        for job in fetch(&stack, 10).await {
            end(&stack, &job).await;
        }
    }
    // The message sent ahead, the tick's and a duplicate of each: never more for one occurrence, and all are gone once the
    // leases that they were put back for are over.
    let messages = stack.aws.sqs.message_count();
    assert!(messages <= 4 * 100 + 2, "{messages} messages");
    stack.aws.sqs.faults().set(ojs_emulators::SqsFaults::default());
    stack.engine.set_cron_enabled("often", false).await.unwrap();
    for _ in 0..8 {
        stack.clock.advance_ms(600_000);
        for job in fetch(&stack, 100).await {
            end(&stack, &job).await;
        }
    }
    assert_eq!(stack.aws.sqs.message_count(), 0);
    stack.stop().await;
}

#[tokio::test]
async fn a_registration_does_not_bring_back_what_has_fired() {
    for policy in ["skip", "allow", "cancel_previous", "enqueue"] {
        let stack = TestStack::start().await;
        stack.register("back", "* * * * *", json!({"overlap_policy": policy})).await;
        stack.go_to(START_MS + MINUTE);
        let job = fetch(&stack, 1).await.pop().unwrap();
        // An instance that is two seconds behind changes the times: to it, 09:01:00 is still to come.
        let behind = stack.skewed(-2_000).await;
        let request = json!({"name": "back", "expression": "*/1 * * * *", "type": "test", "overlap_policy": policy});
        let registered = behind.register_cron(fields(&request)).await.unwrap().cron;
        assert_eq!(registered.next_run_at, Some(START_MS + 2 * MINUTE), "{policy}");
        stack.clock.advance_ms(3_000);
        tick(&stack.engine).await;
        assert_eq!(
            (stack.get(&job.id).await.state, cron(&stack, "back").await.run_count),
            (State::Active, 1),
            "{policy}"
        );
        stack.stop().await;
    }
}

#[tokio::test]
async fn new_times_do_not_lose_what_was_due_and_disabling_says_so() {
    let stack = TestStack::start().await;
    stack.register("daily", "1 9 * * *", json!({})).await;
    stack.go_to(START_MS + MINUTE + 20 * SECOND);
    // Nobody has looked at 09:01 yet.
    let moved = stack.register("daily", "30 9 * * *", json!({})).await;
    assert_eq!((moved.run_count, moved.next_run_at), (1, Some(START_MS + 30 * MINUTE)));
    let job = fetch(&stack, 1).await.pop().unwrap();
    assert_eq!(occurrence(&job), START_MS + MINUTE);
    end(&stack, &job).await;
    stack.go_to(START_MS + 30 * MINUTE + SECOND);
    let off = stack.engine.set_cron_enabled("daily", false).await.unwrap();
    assert_eq!((off.skips[0].at_ms, off.skips[0].reason), (START_MS + 30 * MINUTE, SkipReason::Disabled));
    assert_eq!(tick(&stack.engine).await, (0, 0, 0));
    assert!(fetch(&stack, 1).await.is_empty());
    stack.stop().await;
}

#[tokio::test]
async fn events_of_skipped_occurrences_come_when_they_are_found_out() {
    let stack = TestStack::start().await;
    stack.register("told", "* * * * *", json!({})).await;
    let query = |after| EventQuery {
        types: vec!["cron.skipped".into(), "cron.triggered".into()],
        after,
        limit: 10,
        ..EventQuery::default()
    };
    stack.go_to(START_MS + MINUTE);
    fetch(&stack, 1).await;
    let seen = stack.engine.events(query(None)).await.unwrap().events;
    let after = seen.last().unwrap().id.clone();
    // A tick 40 s late; and one hours late.
    stack.go_to(START_MS + 2 * MINUTE + 40 * SECOND);
    tick(&stack.engine).await;
    let late = stack.engine.events(query(Some(after))).await.unwrap().events;
    assert_eq!(
        late.iter().map(|event| (event.kind, event.at_ms)).collect::<Vec<_>>(),
        [("cron.skipped", START_MS + 2 * MINUTE + 40 * SECOND)]
    );
    let after = late[0].id.clone();
    stack.go_to(START_MS + 5 * HOUR + 30 * SECOND);
    tick(&stack.engine).await;
    let missed = stack.engine.events(query(Some(after))).await.unwrap().events;
    let reasons: Vec<_> = missed.iter().map(|event| event.data.get("reason").cloned()).collect();
    assert!(reasons.contains(&Some(json!("missed"))), "{missed:?}");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_of_one_name_that_race_are_all_answered_and_one_of_them_stays() {
    let stack = TestStack::start().await;
    let mut engines = Vec::new();
    for _ in 0..4 {
        engines.push(stack.instance(3).await.0);
    }
    let racers: Vec<_> = (0..24)
        .map(|at| {
            let engine = std::sync::Arc::clone(&engines[at % 4]);
            let request = json!({"name": "one", "expression": "0 0 * * *", "type": format!("type.r{at}")});
            tokio::spawn(async move { engine.register_cron(fields(&request)).await })
        })
        .collect();
    let mut types = Vec::new();
    for racer in racers {
        types.push(racer.await.unwrap().unwrap().cron.definition.template.job_type);
    }
    assert!(types.contains(&cron(&stack, "one").await.definition.template.job_type));
    types.sort();
    types.dedup();
    assert_eq!(types.len(), 24, "each was answered with its own definition");
    stack.stop().await;
}
