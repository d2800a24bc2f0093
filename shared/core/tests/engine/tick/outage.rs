//! Throttling and unavailability of either service: named errors with a Retry-After, nothing half done, and no job that
//! SQS takes for poison because DynamoDB was away.
#![allow(clippy::unwrap_used, missing_docs)]

use ojs_core::engine::TickBudget;
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::ErrorCode;
use ojs_model::job::State;
use ojs_testkit::{TestStack, fields};
use serde_json::json;

#[tokio::test]
async fn every_operation_names_the_outage() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({})).await.id;
    for (fault, code) in
        [(Fault::Throttled, ErrorCode::RateLimited), (Fault::Unavailable, ErrorCode::BackendUnavailable)]
    {
        let (engine, wire) = stack.instance(1).await;
        wire.disturb(Plan { at: 0, fault, then: Then::Repeat });
        let request = || fields(&json!({"type": "test", "args": []}));
        let errors = [
            engine.enqueue(request()).await.unwrap_err(),
            engine.fetch(stack.fetch_request("w", 1)).await.unwrap_err(),
            engine.get(&id).await.unwrap_err(),
            engine.cancel(&id).await.unwrap_err(),
            engine.activate(&id).await.unwrap_err(),
            engine.list_queues(None, 1).await.unwrap_err(),
            engine.list_dead_letters(Default::default()).await.unwrap_err(),
            engine.send_due(TickBudget::UNLIMITED).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.code, error.retry_after_s), (code, Some(1)), "{error}");
        }
        assert!(!engine.health().await.is_ok());
    }
    // The job that was there is there as it was, and no other.
    assert_eq!(stack.get(&id).await.state, State::Available);
    assert_eq!(stack.aws.sqs.message_count(), 1);
    assert_eq!(stack.engine.store().newest_jobs("default", 10).await.unwrap(), [id]);
    stack.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_table_does_not_poison_messages() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({})).await.id;
    let (engine, wire) = stack.instance(1).await;
    // Warm: what fails from here on is the claim.
    assert!(engine.health().await.is_ok());
    let start = engine.now_ms();
    let mut receives = 0;
    // Two days of polling every minute while every claim is refused; the receive itself gets through.
    while engine.now_ms() - start < 2 * 86_400_000 {
        wire.disturb(Plan { at: 1, fault: Fault::Throttled, then: Then::Continue });
        let before = stack.aws.sqs.counters().messages_received;
        // The look-up of the queue comes first, once a process.
        let _ = engine.fetch(stack.fetch_request("w", 1)).await;
        receives += stack.aws.sqs.counters().messages_received - before;
        wire.calm();
        stack.clock.advance_ms(60_000);
    }
    assert!(receives < 1_000, "{receives} receives: SQS would have taken it for poison");
    stack.clock.advance_ms(300_000);
    assert_eq!(stack.fetch("w", 1).await[0].id, id);
    stack.stop().await;
}
