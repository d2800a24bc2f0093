//! A live job keeps a message that comes in time, whatever happens to the messages it had (I1, I5, I7).
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use ojs_core::engine::{DeadLetterQuery, Fetch, Nack, Override, TickBudget};
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::ErrorCode;
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::raw;
use ojs_testkit::{TestStack, fields};
use serde_json::json;

fn failure() -> Option<Failure> {
    Some(Failure::parse(&raw(r#"{"code":"x","message":"m"}"#).unwrap()).unwrap())
}

fn fetch(queues: &[&str], visibility_ms: Option<i64>) -> Fetch {
    let queues = queues.iter().map(|q| (*q).to_owned()).collect();
    Fetch { queues, count: 1, worker_id: Some("w".into()), visibility_ms }
}

fn nack(job: &Job, requeue: bool) -> Nack {
    let token = job.lease.as_ref().map(|lease| lease.token.clone());
    let failure = if requeue { None } else { failure() };
    Nack { id: job.id.clone(), holder: Holder { worker: None, token }, failure, requeue }
}

/// Seconds until a job can be fetched.
async fn seconds_until_fetched(stack: &TestStack, queue: &str) -> i64 {
    let start = stack.engine.now_ms();
    while stack.engine.fetch(fetch(&[queue], None)).await.unwrap().is_empty() {
        stack.clock.advance_ms(1_000);
        assert!(stack.engine.now_ms() - start < 7_200_000, "never");
    }
    (stack.engine.now_ms() - start) / 1_000
}

#[tokio::test]
async fn a_failed_enqueue_never_takes_back_another_requests_job() {
    for claimed in [false, true] {
        let stack = TestStack::start().await;
        let id = stack.engine.ids().job_id(stack.engine.now_ms());
        let request = |name: &str| fields(&json!({"id": id.as_str(), "type": name, "args": []}));
        stack.engine.enqueue(request("first")).await.unwrap();
        if claimed {
            stack.fetch("w", 1).await;
        }
        let (engine, wire) = stack.instance(1).await;
        // The look-up in the registry comes first; then the put, whose outcome stays unknown.
        wire.disturb(Plan { at: 1, fault: Fault::Unavailable, then: Then::Continue });
        let error = engine.enqueue(request("second")).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BackendUnavailable);
        assert_eq!(stack.get(&id).await.job_type, "first", "claimed: {claimed}");
        stack.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_on_the_new_queue_does_not_drop_a_dead_letter_that_is_moving_there() {
    let stack = Arc::new(TestStack::start().await);
    let other = stack.enqueue(json!({"queue": "b"})).await;
    assert_eq!(stack.engine.fetch(fetch(&["b"], None)).await.unwrap().len(), 1);
    stack.ack(&other.id).await.unwrap();
    let retry = json!({"queue": "a", "retry": {"max_attempts": 1, "on_exhaustion": "dead_letter"}});
    let job = stack.enqueue(retry).await;
    let claimed = stack.engine.fetch(fetch(&["a"], None)).await.unwrap().remove(0);
    stack.engine.nack(nack(&claimed, false)).await.unwrap();
    // The message is sent, and met, while the update is still on its way.
    let (engine, wire) = stack.instance(1).await;
    wire.set_latency(Duration::from_millis(50));
    let worker = {
        let stack = Arc::clone(&stack);
        tokio::spawn(async move {
            while stack.get(&job.id).await.queue != "b" {
                assert!(stack.engine.fetch(fetch(&["b"], None)).await.unwrap().is_empty());
            }
        })
    };
    let change = Override::parse(fields(&json!({"override": {"queue": "b"}}))).unwrap();
    engine.retry_dead_letter(&claimed.id, &change).await.unwrap();
    worker.await.unwrap();
    assert!(seconds_until_fetched(&stack, "b").await <= 2);
}

#[tokio::test]
async fn a_job_that_is_given_back_again_and_again_stays_alive() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({})).await.id;
    for round in 0..1_100 {
        let job = stack.fetch("w", 1).await.pop().unwrap_or_else(|| panic!("lost after {round} rounds"));
        stack.engine.nack(nack(&job, true)).await.unwrap();
    }
    assert_eq!(stack.get(&id).await.attempt, 1_100);
    stack.stop().await;
}

#[tokio::test]
async fn a_message_that_lapses_too_often_is_renewed_before_sqs_takes_it_for_poison() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({"retry": {"max_attempts": 5_000}})).await;
    let (mut claims, mut idle) = (0, 0);
    while claims < 1_100 {
        claims += stack.engine.fetch(fetch(&["default"], Some(1_000))).await.unwrap().len();
        idle += 1;
        assert!(idle < 2_400, "lost after {claims} claims");
        stack.clock.advance_ms(1_000);
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_manual_retry_cannot_make_a_job_too_large_to_run() {
    let stack = TestStack::start().await;
    let options = json!({"retry": {"max_attempts": 1, "on_exhaustion": "dead_letter"}});
    let request = json!({"type": "t", "args": ["x".repeat(300 * 1_024 - 200)], "options": options});
    stack.engine.enqueue(fields(&request)).await.unwrap();
    let job = stack.fetch("w", 1).await.remove(0);
    stack.engine.nack(nack(&job, false)).await.unwrap();
    let change = json!({"override": {"retry": {"non_retryable_errors": ["y".repeat(100_000)]}}});
    let error = stack.engine.retry_dead_letter(&job.id, &Override::parse(fields(&change)).unwrap()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::PayloadTooLarge);
    assert_eq!((stack.get(&job.id).await.state, stack.aws.sqs.message_count()), (State::Discarded, 0));
    stack.stop().await;
}

#[tokio::test]
async fn a_repeated_nack_sends_what_the_first_one_could_not() {
    for requeue in [false, true] {
        let stack = TestStack::start().await;
        stack.enqueue(json!({"retry": {"jitter": false}})).await;
        let job = stack.engine.fetch(fetch(&["default"], None)).await.unwrap().remove(0);
        let (engine, wire) = stack.instance(1).await;
        assert!(engine.health().await.is_ok());
        // The read gets through, the update takes effect, and the answer is lost.
        wire.disturb(Plan { at: 1, fault: Fault::LostAnswer, then: Then::Dead });
        engine.nack(nack(&job, requeue)).await.unwrap_err();
        stack.engine.nack(nack(&job, requeue)).await.unwrap();
        assert!(seconds_until_fetched(&stack, "default").await <= 1, "requeue: {requeue}");
        stack.stop().await;
    }
}

#[tokio::test]
async fn a_wait_longer_than_sqs_can_hide_goes_through_the_due_index() {
    let stack = TestStack::start().await;
    let retry = json!({"initial_interval": "P1D", "max_interval": "P1D", "jitter": false});
    let id = stack.enqueue(json!({"timeout_ms": 1_000, "retry": retry})).await.id;
    assert_eq!(stack.fetch("w", 1).await.len(), 1);
    stack.clock.advance_ms(2_000);
    assert!(stack.fetch("w", 1).await.is_empty());
    let stored = stack.engine.store().get_job(&id).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.in_due_index), (State::Retryable, true));
    assert_eq!(stack.aws.sqs.message_count(), 0);
    stack.clock.advance_ms(86_400_000 - 60_000);
    assert_eq!(stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap().sent, 1);
    stack.clock.advance_ms(60_000);
    assert_eq!(stack.fetch("w", 1).await[0].attempt, 2);
    stack.stop().await;
}

#[tokio::test]
async fn a_job_that_cannot_be_promoted_delays_only_itself() {
    let stack = TestStack::start().await;
    // More than a page of jobs whose queue cannot be made again yet.
    for _ in 0..450 {
        stack.enqueue(json!({"queue": "gone", "scheduled_at": "+PT1H"})).await;
    }
    let id = stack.enqueue(json!({"scheduled_at": "+PT1H0.5S"})).await.id;
    let clients = aws_clients(&stack).await;
    let url = clients.sqs.create_queue().queue_name("ojs-gone").send().await.unwrap().queue_url.unwrap();
    stack.clock.advance_ms(3_590_000);
    clients.sqs.delete_queue().queue_url(url).send().await.unwrap();
    let done = stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    assert_eq!((done.sent, done.failed), (1, 450));
    stack.clock.advance_ms(11_000);
    assert_eq!(stack.fetch("w", 1).await[0].id, id);
    stack.stop().await;
}

async fn aws_clients(stack: &TestStack) -> ojs_core::aws::Clients {
    let options = ojs_core::aws::ConnectOptions {
        dynamodb_url: Some(stack.aws.dynamodb.url().to_owned()),
        sqs_url: Some(stack.aws.sqs.url().to_owned()),
        http_client: None,
    };
    ojs_core::aws::Clients::connect(&stack.settings, options).await
}

#[tokio::test]
async fn a_lost_receive_hides_jobs_for_a_minute_and_not_for_the_lease() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({})).await;
    let (engine, wire) = stack.instance(3).await;
    // The queue's state, look-up, receive.
    wire.disturb(Plan { at: 2, fault: Fault::LostAnswer, then: Then::Continue });
    assert!(engine.fetch(fetch(&["default"], None)).await.unwrap().is_empty());
    assert!(seconds_until_fetched(&stack, "default").await <= 60);
    stack.stop().await;
}

#[tokio::test]
async fn a_long_lease_is_left_alone_though_its_message_comes_back_early() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({})).await;
    let first = stack.engine.fetch(fetch(&["default"], None)).await.unwrap().remove(0);
    for _ in 0..29 {
        stack.clock.advance_ms(60_000);
        assert!(stack.engine.fetch(fetch(&["default"], None)).await.unwrap().is_empty());
    }
    assert_eq!(stack.get(&first.id).await.state, State::Active);
    // Met once after its first minute, the message rests until the lease's end.
    assert!(stack.aws.sqs.counters().messages_received <= 3);
    stack.clock.advance_ms(60_000);
    assert_eq!(stack.engine.fetch(fetch(&["default"], None)).await.unwrap()[0].attempt, 2);
    stack.stop().await;
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_found_again() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({})).await;
    let (engine, wire) = stack.instance(1).await;
    // The queue's state, look-up, receive, claim.
    wire.disturb(Plan { at: 3, fault: Fault::LostAnswer, then: Then::Continue });
    let jobs = engine.fetch(fetch(&["default"], None)).await.unwrap();
    assert_eq!((jobs.len(), jobs[0].attempt), (1, 1));
    stack.stop().await;
}

#[tokio::test]
async fn a_queue_that_fails_does_not_keep_the_others_back() {
    let stack = TestStack::start().await;
    for queue in ["bad", "good"] {
        stack.enqueue(json!({"queue": queue})).await;
    }
    // Look-up, receive, claim.
    for at in [1, 2, 3] {
        let (engine, wire) = stack.instance(1).await;
        wire.disturb(Plan { at, fault: Fault::Unavailable, then: Then::Continue });
        let jobs = engine.fetch(fetch(&["bad", "good"], Some(1_000))).await.unwrap();
        assert_eq!(jobs[0].queue, "good", "call {at}");
        stack.clock.advance_ms(10_000);
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_heap_of_stale_messages_is_cleared_at_once() {
    let stack = TestStack::start().await;
    for _ in 0..200 {
        let id = stack.enqueue(json!({})).await.id;
        stack.engine.cancel(&id).await.unwrap();
    }
    let live = stack.enqueue(json!({})).await.id;
    let more = stack.enqueue(json!({})).await.id;
    assert_eq!(stack.fetch("w", 1).await[0].id, live);
    // What was received beyond the one that was wanted has been given back.
    assert_eq!(stack.fetch("w", 1).await[0].id, more);
    stack.stop().await;
}

#[tokio::test]
async fn large_jobs_come_in_answers_that_fit() {
    const LARGE: usize = 290_000;
    let stack = TestStack::start().await;
    let options = json!({"retry": {"max_attempts": 1, "on_exhaustion": "dead_letter"}});
    for _ in 0..30 {
        let request = json!({"type": "t", "args": ["x".repeat(LARGE)], "options": options});
        stack.engine.enqueue(fields(&request)).await.unwrap();
    }
    let mut fetched = Vec::new();
    while fetched.len() < 30 {
        let jobs = stack.fetch("w", 100).await;
        assert!(!jobs.is_empty() && jobs.len() * LARGE < 6_250_000, "{} jobs in one answer", jobs.len());
        fetched.extend(jobs);
    }
    for job in &fetched {
        stack.clock.advance_ms(1);
        stack.engine.nack(nack(job, false)).await.unwrap();
    }
    let (mut seen, mut after) = (0, None);
    loop {
        let query = DeadLetterQuery { after, limit: 200, ..DeadLetterQuery::default() };
        let page = stack.engine.list_dead_letters(query).await.unwrap();
        assert!(page.jobs.len() * LARGE < 6_250_000);
        seen += page.jobs.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, 30);
    stack.stop().await;
}
