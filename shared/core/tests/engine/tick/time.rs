//! Jobs start at their time and never before, at any horizon, and end at theirs though nobody sweeps.
#![allow(clippy::unwrap_used, missing_docs)]

use ojs_core::engine::{Fetch, Nack, TickBudget};
use ojs_model::job::{Failure, Holder, State};
use ojs_model::json::raw;
use ojs_testkit::TestStack;
use serde_json::json;

#[tokio::test]
async fn a_job_waits_for_its_time_at_any_horizon() {
    const SECOND: i64 = 1_000;
    const HOUR: i64 = 3_600 * SECOND;
    for (text, wait_ms) in [
        ("+PT0.4S", 400),
        ("+PT1S", SECOND),
        ("+PT14M59S", 899 * SECOND),
        ("+PT15M", 900 * SECOND),
        ("+PT15M1S", 901 * SECOND),
        ("+PT15M0.5S", 900 * SECOND + 500),
        ("+P3D", 72 * HOUR),
        ("+P1Y", 365 * 24 * HOUR),
    ] {
        let stack = TestStack::start().await;
        let due = stack.engine.now_ms() + wait_ms;
        let id = stack.enqueue(json!({"scheduled_at": text})).await.id;
        let beyond_sqs = wait_ms > 900 * SECOND;
        assert_eq!(stack.aws.sqs.message_count(), usize::from(!beyond_sqs), "{text}");
        // Ticks once a minute, as EventBridge does; the last of them comes within a minute before the time.
        while due - stack.engine.now_ms() > 60 * SECOND {
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            let left = due - stack.engine.now_ms();
            let step = if left > HOUR { left - HOUR } else { 60 * SECOND };
            stack.clock.advance_ms(step.min(left - 1).unsigned_abs());
        }
        stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        assert_eq!(stack.aws.sqs.message_count(), 1, "{text}");
        let early = due - stack.engine.now_ms() - 1_001;
        if early > 0 {
            stack.clock.advance_ms(early.unsigned_abs());
            assert!(stack.fetch("w", 1).await.is_empty(), "{text}: early");
        }
        assert_eq!(stack.get(&id).await.state, State::Scheduled, "{text}");
        // Where the message is there already, the fetch waits out the rest, and the clock moves on with it.
        stack.clock.advance_ms((due - stack.engine.now_ms() - 300).max(0).unsigned_abs());
        let mut jobs = stack.fetch("w", 1).await;
        if jobs.is_empty() {
            stack.clock.advance_ms((due - stack.engine.now_ms()).unsigned_abs());
            jobs = stack.fetch("w", 1).await;
        }
        let job = jobs.pop().unwrap_or_else(|| panic!("{text}: not on time"));
        assert_eq!((job.started_at, job.enqueued_at), (Some(due), Some(due)), "{text}");
        stack.stop().await;
    }
}

#[tokio::test]
async fn a_fetch_that_has_other_jobs_does_not_wait() {
    let stack = TestStack::start().await;
    let soon = stack.enqueue(json!({"scheduled_at": "+PT0.5S"})).await.id;
    let now = stack.enqueue(json!({})).await.id;
    let start = stack.engine.now_ms();
    let jobs = stack.fetch("w", 10).await;
    assert_eq!((jobs.len(), &jobs[0].id, stack.engine.now_ms()), (1, &now, start));
    stack.clock.advance_ms(1_000);
    assert_eq!(stack.fetch("w", 10).await[0].id, soon);
    stack.stop().await;
}

#[tokio::test]
async fn a_retry_comes_back_at_its_exact_time() {
    let stack = TestStack::start().await;
    let retry = json!({"retry": {"initial_interval": "PT1.7S", "jitter": false}});
    let id = stack.enqueue(retry).await.id;
    stack.fetch("w", 1).await;
    let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
    let nack = Nack { id: id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false };
    let failed = stack.engine.nack(nack).await.unwrap();
    assert_eq!(failed.due_at, Some(stack.engine.now_ms() + 1_700));
    assert!(stack.fetch("w", 1).await.is_empty());
    stack.clock.advance_ms(1_000);
    let job = stack.fetch("w", 1).await.pop().unwrap();
    assert_eq!((job.attempt, job.started_at), (2, failed.due_at));
    stack.stop().await;
}

#[tokio::test]
async fn short_leases_and_timeouts_bring_the_message_back_in_time() {
    // Received under the server's long default; the job itself wants less.
    for (options, back_ms) in [
        (json!({"visibility_timeout_ms": 3_000}), 3_000),
        (json!({"timeout_ms": 2_000, "retry": {"initial_interval": "PT1S", "jitter": false}}), 3_000),
    ] {
        let stack = TestStack::start().await;
        stack.enqueue(options.clone()).await;
        let fetch = || Fetch { queues: vec!["default".into()], count: 1, worker_id: None, visibility_ms: None };
        let first = stack.engine.fetch(fetch()).await.unwrap().pop().unwrap();
        stack.clock.advance_ms(back_ms);
        let second = stack.engine.fetch(fetch()).await.unwrap().pop();
        let second = second.unwrap_or_else(|| panic!("{options}: the message is still hidden"));
        assert_eq!((first.attempt, second.attempt, second.errors.len()), (1, 2, 1), "{options}");
        stack.stop().await;
    }
}

#[tokio::test]
async fn what_the_clock_ended_is_written_down_when_its_message_comes() {
    let stack = TestStack::start().await;
    let expired = stack.enqueue(json!({"expires_at": "+PT5S", "scheduled_at": "+PT3S"})).await.id;
    let options = json!({"visibility_timeout_ms": 2_000, "retry": {"max_attempts": 1, "on_exhaustion": "dead_letter"}});
    let lapsed = stack.enqueue(options).await.id;
    let fetch = Fetch { queues: vec!["default".into()], count: 1, worker_id: None, visibility_ms: None };
    assert_eq!(stack.engine.fetch(fetch).await.unwrap()[0].id, lapsed);
    stack.clock.advance_ms(10_000);
    assert_eq!(stack.get(&expired).await.state, State::Discarded);
    assert_eq!(stack.get(&lapsed).await.state, State::Discarded);
    let page = || ojs_core::engine::DeadLetterQuery { limit: 10, ..Default::default() };
    assert_eq!(stack.engine.list_dead_letters(page()).await.unwrap().jobs.len(), 0);
    assert!(stack.fetch("w", 10).await.is_empty());
    assert_eq!(stack.aws.sqs.message_count(), 0);
    let dead = stack.engine.list_dead_letters(page()).await.unwrap().jobs;
    assert_eq!(dead.iter().map(|job| &job.id).collect::<Vec<_>>(), [&lapsed]);
    stack.stop().await;
}

#[tokio::test]
async fn a_pending_job_that_expires_is_written_down_too() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({"pending": true, "expires_at": "+PT1H"})).await.id;
    stack.clock.advance_ms(3_599_000);
    stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    assert!(stack.fetch("w", 1).await.is_empty());
    assert_eq!(stack.get(&id).await.state, State::Pending);
    stack.clock.advance_ms(2_000);
    assert!(stack.fetch("w", 1).await.is_empty());
    assert_eq!(stack.engine.store().get_job(&id).await.unwrap().unwrap().state, State::Discarded);
    assert_eq!(stack.aws.sqs.message_count(), 0);
    stack.stop().await;
}

#[tokio::test]
async fn a_job_that_comes_after_its_expiry_is_discarded_when_it_is_made() {
    let stack = TestStack::start().await;
    let job = stack.enqueue(json!({"expires_at": "2020-01-01T00:00:00Z"})).await;
    assert_eq!((job.state, job.discarded_at), (State::Discarded, Some(job.created_at)));
    assert_eq!(stack.get(&job.id).await.state, State::Discarded);
    assert_eq!(stack.aws.sqs.message_count(), 0);
    stack.stop().await;
}

#[tokio::test]
async fn an_activated_job_with_an_expiry_runs_once() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({"pending": true, "expires_at": "+PT1H"})).await.id;
    stack.engine.activate(&id).await.unwrap();
    assert_eq!(stack.fetch("w", 1).await[0].id, id);
    stack.ack(&id).await.unwrap();
    stack.clock.advance_ms(3_700_000);
    assert_eq!(stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap().sent, 0);
    stack.stop().await;
}

#[tokio::test]
async fn an_expired_job_is_never_delivered() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({"expires_at": "+PT2S"})).await;
    stack.clock.advance_ms(2_000);
    assert!(stack.fetch("w", 1).await.is_empty());
    stack.stop().await;
}
