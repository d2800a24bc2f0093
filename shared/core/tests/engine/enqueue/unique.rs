//! Unique jobs on the embedded stack (OJS unique jobs).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use ojs_core::engine::{Enqueued, Nack, Override};
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::{Fields, raw};
use ojs_model::{Error, ErrorCode, Result};
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};
use tokio::sync::Barrier;

fn request(options: Value) -> Fields {
    fields(&json!({"type": "test", "args": [{"id": 1}], "options": options}))
}

async fn enqueue(stack: &TestStack, unique: Value) -> Result<Enqueued> {
    stack.engine.enqueue(request(json!({"unique": unique}))).await
}

async fn made(stack: &TestStack, unique: Value) -> Job {
    let made = enqueue(stack, unique).await.unwrap();
    assert!(!made.deduplicated);
    made.job
}

async fn fails(stack: &TestStack, job: &Job) -> Job {
    let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
    let nack = Nack { id: job.id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false };
    stack.engine.nack(nack).await.unwrap()
}

fn duplicate_of(error: &Error, job: &Job) {
    assert_eq!(error.code, ErrorCode::Duplicate, "{error}");
    assert_eq!(error.details["existing_job_id"], job.id.as_str());
    assert_eq!(error.details["uniqueness_key"].as_str().unwrap().len(), 64);
}

/// Ids of what the listing index has of queue `default` in these states.
async fn ids(stack: &TestStack, wanted: impl Fn(State) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for id in stack.engine.store().newest_jobs("default", 200).await.unwrap() {
        if wanted(stack.get(&id).await.state) {
            found.push(id.to_string());
        }
    }
    found
}

#[tokio::test]
async fn a_duplicate_is_refused_until_the_job_has_ended_however_it_ends() {
    let stack = TestStack::start().await;
    for end in ["ack", "nack", "cancel", "cancel active", "expire", "delete"] {
        let expires = if end == "expire" { json!("+PT2S") } else { Value::Null };
        let options = json!({"unique": {}, "expires_at": expires, "retry": {"max_attempts": 1}});
        let first = stack.engine.enqueue(request(options)).await.unwrap().job;
        duplicate_of(&enqueue(&stack, json!({})).await.unwrap_err(), &first);
        if matches!(end, "ack" | "nack" | "cancel active") {
            assert_eq!(stack.fetch("w", 1).await[0].id, first.id, "{end}");
            duplicate_of(&enqueue(&stack, json!({})).await.unwrap_err(), &first);
        }
        match end {
            "ack" => stack.ack(&first.id).await.unwrap(),
            "nack" => assert_eq!(fails(&stack, &first).await.state, State::Discarded),
            "expire" => stack.clock.advance_ms(2_000),
            // By an operator, behind our back.
            "delete" => assert!(stack.engine.store().undo_put(&first).await.unwrap()),
            _ => drop(stack.engine.cancel(&first.id).await.unwrap()),
        }
        // What ends it in a write takes its lock along; nobody waits for a TTL.
        let lock = stack.engine.store().get_lock(&first.unique_key.unwrap()).await.unwrap();
        assert_eq!(lock.is_some(), matches!(end, "expire" | "delete"), "{end}");
        let second = made(&stack, json!({})).await;
        assert_ne!(second.id, first.id, "{end}");
        // The message of the first must not take the second's lock along.
        stack.clock.advance_ms(70_000);
        let fetched: Vec<_> = stack.fetch("w", 10).await.into_iter().map(|job| job.id).collect();
        assert_eq!(fetched, std::slice::from_ref(&second.id));
        duplicate_of(&enqueue(&stack, json!({})).await.unwrap_err(), &second);
        stack.ack(&second.id).await.unwrap();
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_duplicate_that_is_ignored_is_answered_with_the_job_that_is_there() {
    let stack = TestStack::start().await;
    let first = made(&stack, json!({})).await;
    for state in [State::Available, State::Active] {
        if state == State::Active {
            stack.fetch("w", 1).await;
        }
        let again = enqueue(&stack, json!({"on_conflict": "ignore"})).await.unwrap();
        assert_eq!((again.deduplicated, &again.job.id, again.job.state), (true, &first.id, state));
    }
    stack.ack(&first.id).await.unwrap();
    assert!(!enqueue(&stack, json!({"on_conflict": "ignore"})).await.unwrap().deduplicated);
    stack.stop().await;
}

#[tokio::test]
async fn a_replacement_cancels_what_it_replaces_whatever_that_is_doing() {
    let stack = TestStack::start().await;
    let replace = json!({"on_conflict": "replace"});
    let mut last: Option<Job> = None;
    for doing in ["available", "active", "retryable", "scheduled", "scheduled far off", "pending"] {
        let scheduled = match doing {
            "scheduled" => json!("+PT5M"),
            "scheduled far off" => json!("+P2D"),
            _ => Value::Null,
        };
        let options = json!({
            "unique": replace, "scheduled_at": scheduled, "pending": doing == "pending", "retry": {"jitter": false},
        });
        let made = stack.engine.enqueue(request(options)).await.unwrap();
        assert!(!made.deduplicated, "{doing}");
        if let Some(last) = last {
            let replaced = stack.get(&last.id).await;
            assert_eq!(replaced.state, State::Cancelled, "before {doing}");
            assert!(replaced.cancelled_at.is_some());
        }
        if matches!(doing, "active" | "retryable") {
            assert_eq!(stack.fetch("w", 1).await[0].id, made.job.id, "{doing}");
        }
        if doing == "retryable" {
            assert_eq!(fails(&stack, &made.job).await.state, State::Retryable);
        }
        assert_eq!(stack.get(&made.job.id).await.state.as_str(), doing.split(' ').next().unwrap());
        last = Some(made.job);
    }
    let end = made(&stack, replace).await;
    assert_eq!(ids(&stack, |state| !state.is_terminal()).await, [end.id.to_string()]);
    stack.clock.advance_ms(70_000);
    assert_eq!(stack.fetch("w", 10).await.len(), 1);
    assert_eq!(stack.fetch("w", 10).await.len(), 0);
    stack.stop().await;
}

#[tokio::test]
async fn a_replacement_may_keep_the_schedule() {
    let stack = TestStack::start().await;
    let keep = json!({"on_conflict": "replace_except_schedule"});
    for (first, second) in [("+PT5M", Value::Null), ("+P2D", json!("+PT1H")), ("+PT5M", json!("+P2D"))] {
        let options = json!({"unique": keep, "scheduled_at": first});
        let old = stack.engine.enqueue(request(options)).await.unwrap().job;
        let options = json!({"unique": keep, "scheduled_at": second});
        let new = stack.engine.enqueue(request(options)).await.unwrap().job;
        assert_eq!((new.state, new.due_at), (State::Scheduled, old.due_at));
        assert_eq!(new.scheduled_at, old.scheduled_at);
        assert_eq!(stack.get(&old.id).await.state, State::Cancelled);
        // It starts then, by message or index.
        let due = new.due_at.unwrap();
        if due - stack.engine.now_ms() > 900_000 {
            stack.go_to(due - 60_000);
            stack.engine.send_due(ojs_core::engine::TickBudget::UNLIMITED).await.unwrap();
        }
        stack.go_to(due - 1_001);
        assert_eq!(stack.fetch("w", 1).await.len(), 0);
        stack.go_to(due);
        assert_eq!(stack.fetch("w", 1).await[0].id, new.id);
        stack.ack(&new.id).await.unwrap();
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_period_ends_at_its_ms_and_the_job_goes_on() {
    let stack = TestStack::start().await;
    let period = json!({"period": "PT2S"});
    let first = made(&stack, period.clone()).await;
    stack.clock.advance_ms(1_999);
    duplicate_of(&enqueue(&stack, period.clone()).await.unwrap_err(), &first);
    stack.clock.advance_ms(1);
    let second = made(&stack, period.clone()).await;
    // The first ends, and must not take the second's lock along.
    stack.fetch("w", 2).await;
    stack.ack(&first.id).await.unwrap();
    duplicate_of(&enqueue(&stack, period).await.unwrap_err(), &second);
    stack.stop().await;
}

#[tokio::test]
async fn states_may_keep_duplicates_out_beyond_the_end() {
    let stack = TestStack::start().await;
    let once = json!({"states": ["available", "active", "completed"], "period": "PT1H"});
    let first = made(&stack, once.clone()).await;
    stack.fetch("w", 1).await;
    stack.ack(&first.id).await.unwrap();
    duplicate_of(&enqueue(&stack, once.clone()).await.unwrap_err(), &first);
    // A policy that does not count completed jobs finds none.
    let other = made(&stack, json!({})).await;
    stack.engine.cancel(&other.id).await.unwrap();
    let again = made(&stack, once.clone()).await;
    stack.engine.cancel(&again.id).await.unwrap();
    made(&stack, once).await;
    stack.stop().await;
}

#[tokio::test]
async fn a_unique_dead_letter_takes_its_lock_again_or_stays_dead() {
    let stack = TestStack::start().await;
    let options = json!({"unique": {}, "retry": {"max_attempts": 1, "on_exhaustion": "dead_letter"}});
    let dead = stack.engine.enqueue(request(options)).await.unwrap().job;
    stack.fetch("w", 1).await;
    fails(&stack, &dead).await;
    let other = made(&stack, json!({})).await;
    let error = stack.engine.retry_dead_letter(&dead.id, &Override::default()).await.unwrap_err();
    duplicate_of(&error, &other);
    assert_eq!(stack.get(&dead.id).await.state, State::Discarded);
    stack.engine.cancel(&other.id).await.unwrap();
    let back = stack.engine.retry_dead_letter(&dead.id, &Override::default()).await.unwrap();
    assert_eq!(back.state, State::Available);
    duplicate_of(&enqueue(&stack, json!({})).await.unwrap_err(), &back);
    stack.clock.advance_ms(61_000);
    let mut fetched = stack.fetch("w", 10).await;
    fetched.extend(stack.fetch("w", 10).await);
    assert_eq!(fetched.iter().map(|job| &job.id).collect::<Vec<_>>(), [&dead.id]);
    stack.ack(&dead.id).await.unwrap();
    made(&stack, json!({})).await;
    stack.stop().await;
}

#[tokio::test]
async fn a_message_that_never_went_is_sent_for_the_first_duplicate_and_no_other() {
    let stack = TestStack::start().await;
    let first = made(&stack, json!({})).await;
    stack.aws.sqs.reset();
    stack.engine.forget_queues();
    for _ in 0..3 {
        duplicate_of(&enqueue(&stack, json!({})).await.unwrap_err(), &first);
        assert_eq!(stack.aws.sqs.message_count(), 1);
    }
    assert_eq!(stack.fetch("w", 1).await[0].id, first.id);
    stack.stop().await;
}

/// Eight instances, eight requests each, all at once.
async fn race(stack: &Arc<TestStack>, unique: &Value) -> Vec<Result<Enqueued>> {
    let barrier = Arc::new(Barrier::new(64));
    let mut racers = Vec::new();
    for _ in 0..8 {
        let (engine, _) = stack.instance(3).await;
        for _ in 0..8 {
            let (engine, barrier, unique) = (Arc::clone(&engine), Arc::clone(&barrier), unique.clone());
            racers.push(tokio::spawn(async move {
                barrier.wait().await;
                engine.enqueue(request(json!({"unique": unique}))).await
            }));
        }
    }
    let mut answers = Vec::new();
    for racer in racers {
        answers.push(racer.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_identical_enqueues_at_once_one_makes_a_job() {
    let stack = Arc::new(TestStack::start().await);
    for (strategy, wanted) in [("reject", "duplicate"), ("ignore", "deduplicated")] {
        let answers = race(&stack, &json!({"on_conflict": strategy})).await;
        let mut made = Vec::new();
        let mut others = Vec::new();
        for answer in answers {
            match answer {
                Ok(Enqueued { job, deduplicated: false }) => made.push(job),
                Ok(Enqueued { job, .. }) => others.push(("deduplicated", job.id.to_string())),
                Err(error) => {
                    assert_eq!(error.code, ErrorCode::Duplicate, "{error}");
                    others.push(("duplicate", error.details["existing_job_id"].as_str().unwrap().to_owned()));
                }
            }
        }
        assert_eq!((made.len(), others.len()), (1, 63));
        assert!(others.iter().all(|other| *other == (wanted, made[0].id.to_string())), "{others:?}");
        assert_eq!(ids(&stack, |state| !state.is_terminal()).await, [made[0].id.to_string()]);
        assert_eq!(stack.fetch("w", 10).await.len(), 1);
        stack.ack(&made[0].id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_replacements_at_once_one_is_left() {
    let stack = Arc::new(TestStack::start().await);
    let answers = race(&stack, &json!({"on_conflict": "replace"})).await;
    let mut made = 0;
    for answer in answers {
        match answer {
            Ok(answer) => {
                assert!(!answer.deduplicated);
                made += 1;
            }
            // So many at one key wear some of them out; they are told to try again.
            Err(error) => assert_eq!(error.code, ErrorCode::BackendUnavailable, "{error}"),
        }
    }
    assert!(made > 0);
    let live = ids(&stack, |state| !state.is_terminal()).await;
    assert_eq!(live.len(), 1, "{made} made");
    assert_eq!(ids(&stack, |state| state == State::Cancelled).await.len(), made - 1);
    stack.clock.advance_ms(70_000);
    let mut fetched = Vec::new();
    for _ in 0..10 {
        fetched.extend(stack.fetch("w", 10).await.into_iter().map(|job| job.id.to_string()));
    }
    assert_eq!(fetched, live);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn acks_and_enqueues_of_one_key_race_and_one_job_at_most_is_live() {
    let stack = Arc::new(TestStack::start().await);
    for round in 0..20 {
        let first = made(&stack, json!({})).await;
        assert_eq!(stack.fetch("w", 10).await.len(), 1, "round {round}");
        let barrier = Arc::new(Barrier::new(5));
        let mut racers = Vec::new();
        for _ in 0..4 {
            let (stack, barrier) = (Arc::clone(&stack), Arc::clone(&barrier));
            racers.push(tokio::spawn(async move {
                barrier.wait().await;
                enqueue(&stack, json!({})).await
            }));
        }
        barrier.wait().await;
        stack.ack(&first.id).await.unwrap();
        let mut won = 0;
        for racer in racers {
            won += usize::from(racer.await.unwrap().is_ok());
        }
        let live = ids(&stack, |state| !state.is_terminal()).await;
        assert!(live.len() == won && won <= 1, "round {round}: {live:?}");
        for job in stack.fetch("w", 10).await {
            stack.ack(&job.id).await.unwrap();
        }
    }
}
