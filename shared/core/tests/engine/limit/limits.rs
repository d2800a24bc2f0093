//! Rate limits on the embedded stack (OJS rate limiting).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use ojs_core::engine::{Fetch, Heartbeat, Nack};
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::{Fields, raw};
use ojs_model::limit::{LimitKey, Limits, Override, Window};
use ojs_model::queue::QueueConfig;
use ojs_model::{ErrorCode, JobId};
use ojs_testkit::TestStack;
use serde_json::{Value, json};
use tokio::sync::Barrier;

async fn limited(stack: &TestStack, policy: &Value, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(stack.enqueue(json!({"rate_limit": policy})).await.id);
    }
    ids
}

fn config(body: &Value) -> QueueConfig {
    QueueConfig::parse(Fields::from_body(body.to_string().as_bytes()).unwrap()).unwrap()
}

fn key(text: &str) -> LimitKey {
    LimitKey::parse(text).unwrap()
}

/// Fetches one at a time until nothing comes.
async fn all(stack: &TestStack) -> Vec<Job> {
    let mut jobs = Vec::new();
    loop {
        let some = stack.fetch("w", 1).await;
        if some.is_empty() {
            return jobs;
        }
        jobs.extend(some);
    }
}

#[tokio::test]
async fn no_more_start_in_a_second_than_may_and_none_is_lost() {
    let stack = TestStack::start().await;
    limited(&stack, &json!({"max_per_second": 2}), 5).await;
    for wanted in [2, 2, 1] {
        assert_eq!(stack.fetch("w", 10).await.len(), wanted);
        assert_eq!(stack.fetch("w", 10).await.len(), 0);
        stack.clock.advance_ms(999);
        assert_eq!(stack.fetch("w", 10).await.len(), 0);
        stack.clock.advance_ms(1);
    }
    // Each queue has its own count, and jobs without a policy none.
    limited(&stack, &json!({"max_per_second": 1}), 2).await;
    stack.enqueue(json!({"queue": "other", "rate_limit": {"max_per_second": 1}})).await;
    stack.enqueue(json!({})).await;
    let queues = vec!["default".to_owned(), "other".to_owned()];
    let fetch = Fetch { queues, ..stack.fetch_request("w", 10) };
    assert_eq!(stack.engine.fetch(fetch).await.unwrap().len(), 3);
    stack.stop().await;
}

#[tokio::test]
async fn a_limited_job_does_not_keep_others_waiting() {
    let stack = TestStack::start().await;
    limited(&stack, &json!({"key": "stripe", "rate": {"limit": 1, "period": "PT1H"}}), 12).await;
    let free = stack.enqueue(json!({})).await;
    let other = stack.enqueue(json!({"rate_limit": {"key": "paypal", "concurrency": 1}})).await;
    let jobs = all(&stack).await;
    assert_eq!(jobs.len(), 3);
    assert_eq!(jobs.iter().filter(|job| job.id == free.id || job.id == other.id).count(), 2);
    for job in &jobs {
        stack.ack(&job.id).await.unwrap();
    }
    // An operator lifts it; that is in force within a minute, when the messages come back.
    let over = Limits { rate: Some(Window { limit: 5, period_ms: 3_600_000 }), ..Limits::default() };
    let state =
        stack.engine.set_limit_override(&key("stripe"), Some(Override { limits: over, expires_at: None })).await;
    assert_eq!(state.unwrap().window_count, 1);
    stack.clock.advance_ms(61_000);
    assert_eq!(all(&stack).await.len(), 4);
    stack.stop().await;
}

#[tokio::test]
async fn no_more_run_at_once_than_may_however_they_end() {
    let stack = TestStack::start().await;
    limited(&stack, &json!({"key": "db", "concurrency": 2}), 6).await;
    let mut active = all(&stack).await;
    assert_eq!(active.len(), 2);
    for end in ["ack", "nack", "cancel", "requeue"] {
        stack.clock.advance_ms(1_000);
        assert_eq!(all(&stack).await.len(), 0, "{end}");
        let job = active.remove(0);
        let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
        let nack = Nack { id: job.id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false };
        match end {
            "ack" => stack.ack(&job.id).await.unwrap(),
            "nack" => drop(stack.engine.nack(nack).await.unwrap()),
            "cancel" => drop(stack.engine.cancel(&job.id).await.unwrap()),
            _ => drop(stack.engine.nack(Nack { failure: None, requeue: true, ..nack }).await.unwrap()),
        }
        let shown = stack.engine.get_limit(&key("db")).await.unwrap();
        assert_eq!(shown.holders.len(), 1, "{end}");
        stack.clock.advance_ms(1_000);
        let next = all(&stack).await;
        assert_eq!(next.len(), 1, "{end}");
        active.extend(next);
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_slot_of_a_worker_that_died_is_free_when_its_lease_ends_and_not_before() {
    let stack = TestStack::start().await;
    let options = json!({"rate_limit": {"key": "db", "concurrency": 1}});
    let first = stack.enqueue(options.clone()).await;
    assert_eq!(all(&stack).await[0].id, first.id);
    let second = stack.enqueue(options).await;
    // Kept alive beyond the lease that the hold was noted with.
    for _ in 0..3 {
        stack.clock.advance_ms(20_000);
        let beat =
            Heartbeat { worker_id: "w".into(), jobs: vec![(first.id.clone(), None)], visibility_ms: Some(30_000) };
        stack.engine.heartbeat(beat).await.unwrap();
        assert_eq!(all(&stack).await.len(), 0);
    }
    // Silence.
    stack.clock.advance_ms(29_000);
    assert_eq!(all(&stack).await.len(), 0);
    stack.clock.advance_ms(2_000);
    let next = all(&stack).await;
    assert_eq!(next.len(), 1, "the one or the other");
    stack.clock.advance_ms(1_000);
    assert_eq!(all(&stack).await.len(), 0);
    stack.ack(&next[0].id).await.unwrap();
    stack.clock.advance_ms(2_000);
    let last = all(&stack).await;
    assert_eq!(last.len(), 1);
    assert_ne!(last[0].id, next[0].id);
    assert!([&first.id, &second.id].contains(&&last[0].id));
    stack.stop().await;
}

#[tokio::test]
async fn a_throttle_spaces_starts() {
    let stack = TestStack::start().await;
    limited(&stack, &json!({"key": "api", "throttle": {"limit": 4, "period": "PT1S"}}), 4).await;
    for _ in 0..4 {
        assert_eq!(stack.fetch("w", 10).await.len(), 1);
        stack.clock.advance_ms(249);
        assert_eq!(stack.fetch("w", 10).await.len(), 0);
        stack.clock.advance_ms(1);
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_job_may_be_dropped_or_rescheduled_instead() {
    let stack = TestStack::start().await;
    let rate = json!({"limit": 1, "period": "PT1H"});
    for (on_limit, state) in [("drop", State::Discarded), ("reschedule", State::Scheduled)] {
        let ids = limited(&stack, &json!({"key": on_limit, "rate": rate, "on_limit": on_limit}), 2).await;
        assert_eq!(all(&stack).await.len(), 1);
        let mut states = Vec::new();
        for id in &ids {
            states.push(stack.get(id).await);
        }
        let active = states.iter().find(|job| job.state == State::Active).unwrap();
        stack.ack(&active.id).await.unwrap();
        let other = states.iter().find(|job| job.state != State::Active).unwrap();
        assert_eq!((other.state, other.dead_letter), (state, false));
        match state {
            State::Discarded => assert_eq!(other.errors[0].code, "rate_limited"),
            _ => {
                let due = other.due_at.unwrap();
                assert_eq!(due, stack.engine.now_ms() + 3_600_000);
                assert!(other.in_due_index);
                stack.go_to(due - 60_000);
                stack.engine.send_due(ojs_core::engine::TickBudget::UNLIMITED).await.unwrap();
                stack.go_to(due);
                let fetched = all(&stack).await;
                assert!(fetched.iter().any(|job| job.id == other.id), "{fetched:?}");
            }
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_queue_has_limits_of_its_own_on_every_instance_within_a_second() {
    let stack = TestStack::start().await;
    let (other, wire) = stack.instance(3).await;
    for _ in 0..6 {
        stack.enqueue(json!({})).await;
    }
    let request = || stack.fetch_request("w", 1);
    assert_eq!(other.fetch(request()).await.unwrap().len(), 1);
    stack.engine.configure_queue("default", &config(&json!({"concurrency": 2}))).await.unwrap();
    stack.clock.advance_ms(1_000);
    // The job from before does not count; no limit was in force when it started.
    assert_eq!(other.fetch(request()).await.unwrap().len(), 1);
    let second = other.fetch(request()).await.unwrap().remove(0);
    assert_eq!(other.fetch(request()).await.unwrap().len(), 0);
    assert_eq!(stack.fetch("w", 10).await.len(), 0);
    // Known to be full: not even asked.
    wire.meter();
    assert_eq!(other.fetch(request()).await.unwrap().len(), 0);
    assert_eq!(wire.take_calls().len(), 0);
    stack.ack(&second.id).await.unwrap();
    assert_eq!(stack.fetch("w", 10).await.len(), 1);
    stack.engine.configure_queue("default", &QueueConfig::default()).await.unwrap();
    stack.clock.advance_ms(1_000);
    assert_eq!(other.fetch(Fetch { count: 10, ..request() }).await.unwrap().len(), 2);
    stack.stop().await;
}

#[tokio::test]
async fn queues_may_have_timeouts_of_their_own() {
    let stack = TestStack::start().await;
    let timeouts = config(&json!({"visibility_timeout": 7, "default_timeout": 3}));
    stack.engine.configure_queue("default", &timeouts).await.unwrap();
    for (options, lease_ms, ends_ms) in [
        (json!({}), 7_000, 3_000),
        (json!({"timeout_ms": 5_000}), 7_000, 5_000),
        (json!({"visibility_timeout_ms": 2_000}), 2_000, 2_000),
    ] {
        stack.enqueue(options.clone()).await;
        let request = Fetch { visibility_ms: None, ..stack.fetch_request("w", 1) };
        let job = stack.engine.fetch(request).await.unwrap().remove(0);
        let lease = job.lease.unwrap();
        let now = stack.engine.now_ms();
        assert_eq!((lease.duration_ms, lease.ends_at_ms() - now), (lease_ms, ends_ms), "{options}");
        stack.ack(&job.id).await.unwrap();
    }
    stack.stop().await;
}

#[tokio::test]
async fn queues_may_keep_their_jobs_for_a_time_of_their_own() {
    let stack = TestStack::start().await;
    let retention = config(&json!({"retention": {"completed": "PT1H", "cancelled": "PT2H", "discarded": "PT3H"}}));
    let failure = || Some(Failure::parse(&raw(r#"{"code":"x","retryable":false}"#).unwrap()).unwrap());
    let servers = [7 * 24, 7 * 24, 30 * 24];
    // As the server says, as the queue says, and as the server says again: each from the next claim on.
    for (config, kept) in [(None, servers), (Some(retention), [1, 2, 3]), (Some(QueueConfig::default()), servers)] {
        if let Some(config) = config {
            stack.engine.configure_queue("default", &config).await.unwrap();
        }
        for limited in [false, true] {
            for (end, hours) in ["ack", "cancel", "nack"].iter().zip(kept) {
                // Both ways to claim: at once, and computed from a read.
                let policy = json!({"key": "k", "concurrency": 100});
                stack.enqueue(json!({"rate_limit": if limited { policy } else { Value::Null }})).await;
                let job = stack.fetch("w", 1).await.remove(0);
                let nack = Nack { id: job.id.clone(), holder: Holder::default(), failure: failure(), requeue: false };
                match *end {
                    "ack" => stack.ack(&job.id).await.unwrap(),
                    "cancel" => drop(stack.engine.cancel(&job.id).await.unwrap()),
                    _ => drop(stack.engine.nack(nack).await.unwrap()),
                }
                let ttl = stack.engine.store().ttl_of(&job.id).await.unwrap();
                assert_eq!(ttl, Some(stack.engine.now_ms() / 1_000 + hours * 3_600), "{end} {limited} {config:?}");
            }
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn an_operator_can_close_a_key_for_a_while() {
    let stack = TestStack::start().await;
    limited(&stack, &json!({"key": "k", "concurrency": 10}), 3).await;
    let now = stack.engine.now_ms();
    let over =
        Override { limits: Limits { concurrency: Some(0), ..Limits::default() }, expires_at: Some(now + 600_000) };
    stack.engine.set_limit_override(&key("k"), Some(over)).await.unwrap();
    assert_eq!(all(&stack).await.len(), 0);
    stack.clock.advance_ms(599_000);
    assert_eq!(all(&stack).await.len(), 0);
    stack.clock.advance_ms(61_000);
    assert_eq!(all(&stack).await.len(), 3);
    assert_eq!(stack.engine.get_limit(&key("none")).await.unwrap_err().code, ErrorCode::NotFound);
    let page = stack.engine.list_limits(None, 10).await.unwrap();
    assert_eq!(page.limits.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["k"]);
    stack.stop().await;
}

#[tokio::test]
async fn a_worker_can_block_a_key_until_the_service_behind_it_wants_more() {
    let stack = TestStack::start().await;
    limited(&stack, &json!({"key": "api", "concurrency": 5}), 2).await;
    let job = stack.fetch("w", 1).await.remove(0);
    let until = ojs_model::time::format_ms(stack.engine.now_ms() + 30_000);
    let failure = json!({"code": "429", "rate_limit_until": until});
    let failure = Failure::parse(&raw(failure.to_string()).unwrap()).unwrap();
    let nack = Nack { id: job.id, holder: Holder::default(), failure: Some(failure), requeue: false };
    stack.engine.nack(nack).await.unwrap();
    assert_eq!(all(&stack).await.len(), 0);
    stack.clock.advance_ms(29_000);
    assert_eq!(all(&stack).await.len(), 0);
    stack.clock.advance_ms(3_000);
    assert_eq!(all(&stack).await.len(), 2);
    stack.stop().await;
}

#[tokio::test]
async fn limits_are_listed_in_the_order_of_their_keys_page_by_page_at_a_bounded_cost() {
    let stack = TestStack::start().await;
    let mut keys: Vec<String> = (0..23).map(|i| format!("tenant:{}", i * 7 % 23)).collect();
    for name in &keys {
        let over = Override { limits: Limits { concurrency: Some(1), ..Limits::default() }, expires_at: None };
        stack.engine.set_limit_override(&key(name), Some(over)).await.unwrap();
    }
    keys.sort();
    let (engine, wire) = stack.instance(1).await;
    let (mut listed, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        wire.meter();
        let page = engine.list_limits(after.as_deref(), 5).await.unwrap();
        assert_eq!(wire.take_calls().len(), 9, "a query per shard and one read");
        assert!(page.limits.len() <= 5);
        assert!(page.limits.iter().all(|(_, state)| state.override_.is_some()));
        listed.extend(page.limits.into_iter().map(|(key, _)| key));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, keys);
    assert!((5..=23).contains(&pages), "{pages}");
    stack.stop().await;
}

/// The message of a job that has waited for its limit for long, and one throttled call.
#[tokio::test]
async fn a_message_that_waited_long_for_a_limit_pays_seconds_for_one_throttle() {
    let stack = TestStack::start().await;
    limited(&stack, &json!({"key": "db", "concurrency": 1}), 1).await;
    let first = all(&stack).await.remove(0);
    let second = limited(&stack, &json!({"key": "db", "concurrency": 1}), 1).await.remove(0);
    let (engine, wire) = stack.instance(1).await;
    // Silent for long enough that the receives add up; the lease is kept alive.
    for _ in 0..60 {
        stack.clock.advance_ms(1_000);
        let beat =
            Heartbeat { worker_id: "w".into(), jobs: vec![(first.id.clone(), None)], visibility_ms: Some(30_000) };
        stack.engine.heartbeat(beat).await.unwrap();
        assert!(engine.fetch(stack.fetch_request("w", 1)).await.unwrap().is_empty());
    }
    stack.ack(&first.id).await.unwrap();
    stack.clock.advance_ms(1_000);
    // Warm: the receive is the second call after the look-up of the queue, then comes the job.
    wire.disturb(Plan { at: 2, fault: Fault::Throttled, then: Then::Continue });
    let failed = engine.fetch(stack.fetch_request("w", 1)).await;
    wire.calm();
    assert_eq!(failed.unwrap_err().code, ErrorCode::RateLimited);
    stack.clock.advance_ms(10_000);
    assert_eq!(stack.fetch("w", 1).await.remove(0).id, second);
    stack.stop().await;
}

/// Eight instances, forty jobs, three at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_race_for_slots_and_no_more_run_than_may() {
    let stack = Arc::new(TestStack::start().await);
    limited(&stack, &json!({"key": "db", "concurrency": 3}), 40).await;
    let barrier = Arc::new(Barrier::new(8));
    let running = Arc::new(std::sync::Mutex::new((0_usize, 0_usize)));
    let done = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut workers = Vec::new();
    for worker in 0..8 {
        let (engine, _) = stack.instance(3).await;
        let (stack, barrier) = (Arc::clone(&stack), Arc::clone(&barrier));
        let (running, done) = (Arc::clone(&running), Arc::clone(&done));
        workers.push(tokio::spawn(async move {
            barrier.wait().await;
            let request = stack.fetch_request(&format!("w{worker}"), 2);
            for _ in 0..2_000 {
                if done.load(std::sync::atomic::Ordering::SeqCst) == 40 {
                    return;
                }
                let jobs = engine.fetch(request.clone()).await.unwrap_or_default();
                {
                    let mut running = running.lock().unwrap();
                    running.0 += jobs.len();
                    running.1 = running.1.max(running.0);
                }
                tokio::task::yield_now().await;
                for job in jobs {
                    running.lock().unwrap().0 -= 1;
                    let ack = ojs_core::engine::Ack { id: job.id, holder: Holder::default(), result: None };
                    engine.ack(ack).await.unwrap();
                    done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
                // Put back for a second each; the lease is longer.
                if worker == 0 {
                    stack.clock.advance_ms(50);
                }
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(done.load(std::sync::atomic::Ordering::SeqCst), 40);
    assert!((1..=3).contains(&running.lock().unwrap().1), "{:?} at once", running.lock().unwrap().1);
    assert!(stack.engine.get_limit(&key("db")).await.unwrap().holders.is_empty());
}
