//! Paused queues: nothing is fetched from them, on any instance; all else goes on.
#![allow(clippy::unwrap_used, missing_docs)]

use ojs_core::Engine;
use ojs_core::engine::{Fetch, TickBudget};
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::job::State;
use ojs_testkit::TestStack;
use serde_json::json;

#[tokio::test]
async fn a_pause_is_in_force_everywhere_within_a_second() {
    let stack = TestStack::start().await;
    let (other, wire) = stack.instance(1).await;
    wire.meter();
    for _ in 0..4 {
        stack.enqueue(json!({})).await;
    }
    assert_eq!(other.fetch(stack.fetch_request("v", 1)).await.unwrap().len(), 1);
    stack.engine.pause_queue("default").await.unwrap();
    assert!(stack.fetch("w", 1).await.is_empty());
    stack.clock.advance_ms(1_000);
    drop(wire.take_calls());
    assert!(other.fetch(stack.fetch_request("v", 1)).await.unwrap().is_empty());
    // Not received and put back, but not received at all.
    let actions: Vec<_> = wire.take_calls().into_iter().map(|call| call.action).collect();
    assert_eq!(actions, ["BatchGetItem"]);
    assert!(other.fetch(stack.fetch_request("v", 1)).await.unwrap().is_empty());
    assert!(wire.take_calls().is_empty());
    stack.engine.resume_queue("default").await.unwrap();
    assert_eq!(stack.fetch("w", 1).await.len(), 1);
    stack.clock.advance_ms(1_000);
    assert_eq!(other.fetch(stack.fetch_request("v", 10)).await.unwrap().len(), 2);
    stack.stop().await;
}

#[tokio::test]
async fn the_other_queues_of_a_fetch_are_not_touched() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({"queue": "a"})).await;
    stack.enqueue(json!({"queue": "b"})).await;
    stack.engine.pause_queue("a").await.unwrap();
    let fetch = Fetch { queues: vec!["a".into(), "b".into()], count: 10, worker_id: None, visibility_ms: Some(30_000) };
    let jobs = stack.engine.fetch(fetch).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.queue.as_str()).collect::<Vec<_>>(), ["b"]);
    stack.stop().await;
}

#[tokio::test]
async fn jobs_go_in_and_active_ones_go_on_while_a_queue_is_paused() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({})).await;
    let active = stack.fetch("w", 1).await.remove(0);
    stack.engine.pause_queue("default").await.unwrap();
    let waiting = stack.enqueue(json!({"priority": 5})).await;
    let cancelled = stack.enqueue(json!({})).await;
    stack.enqueue(json!({"scheduled_at": "+PT1H"})).await;
    stack.register("hourly", "0 * * * *", json!({"overlap_policy": "allow"})).await;
    stack.ack(&active.id).await.unwrap();
    stack.engine.cancel(&cancelled.id).await.unwrap();
    stack.clock.advance_ms(3_600_000);
    stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    stack.engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
    assert!(stack.fetch("w", 10).await.is_empty());
    assert_eq!(stack.get(&waiting.id).await.state, State::Available);
    stack.engine.resume_queue("default").await.unwrap();
    let jobs = stack.fetch("w", 10).await;
    assert_eq!((jobs.len(), &jobs[0].id), (3, &waiting.id));
    stack.stop().await;
}

#[tokio::test]
async fn pausing_and_resuming_twice_is_as_once() {
    let stack = TestStack::start().await;
    let first = stack.engine.pause_queue("q").await.unwrap();
    stack.clock.advance_ms(500);
    assert_eq!(stack.engine.pause_queue("q").await.unwrap(), first);
    stack.clock.advance_ms(500);
    let resumed = stack.engine.resume_queue("q").await.unwrap();
    assert_eq!((resumed.paused_at, resumed.last_paused_at), (None, first.paused_at));
    let queues = stack.engine.list_queues(None, 10).await.unwrap().queues;
    assert_eq!((queues.len(), queues[0].name.as_str(), queues[0].paused_at), (1, "q", None));
    stack.stop().await;
}

#[tokio::test]
async fn a_pause_or_resumption_that_arrives_late_does_not_undo_a_newer_one() {
    for (at, repeated) in [(0, false), (0, true), (1, false), (1, true)] {
        let stack = TestStack::start().await;
        let paused = async || {
            let page = stack.engine.list_queues(None, 10).await.unwrap();
            let listed = page.queues.iter().any(|queue| queue.name == "default" && queue.paused_at.is_some());
            let state = stack.engine.store().queue_states(&["default"]).await.unwrap().remove(0).1;
            (state.paused_at.is_some(), listed)
        };
        stack.enqueue(json!({})).await;
        let (engine, wire) = stack.instance(1).await;
        for pauses in [true, false] {
            let request = async |engine: &Engine, pauses: bool| {
                if pauses { engine.pause_queue("default").await } else { engine.resume_queue("default").await }
            };
            wire.disturb(Plan { at, fault: Fault::Late, then: Then::Continue });
            request(&engine, pauses).await.unwrap_err();
            wire.calm();
            if repeated {
                request(&stack.engine, pauses).await.unwrap();
            }
            // By an instance whose clock is behind, if the table has something to show it: it counts all the same.
            let behind = if at == 1 || repeated { -5_000 } else { 0 };
            request(&*stack.skewed(behind).await, !pauses).await.unwrap();
            assert_eq!(paused().await, (!pauses, !pauses));
            wire.deliver().await;
            assert_eq!(paused().await, (!pauses, !pauses), "call {at}, repeated: {repeated}, pauses: {pauses}");
        }
        stack.stop().await;
    }
}
