//! Every fault switch.

use std::collections::HashSet;
use std::time::Duration;

use ojs_emulators::SqsFaults;
use serde_json::json;

use crate::world::{World, bodies};

#[tokio::test]
async fn throttling_and_outages_have_no_effect_on_the_queue() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let send = json!({"QueueUrl": url, "MessageBody": "m"});
    world.sqs.faults().set(SqsFaults { throttle: 1.0, ..SqsFaults::default() });
    let answer = world.call("SendMessage", send.clone()).await;
    assert_eq!((answer.status, answer.code()), (400, "RequestThrottled"));
    assert!(answer.body["__type"].as_str().unwrap().ends_with("#ThrottlingException"));
    world.sqs.faults().set(SqsFaults { unavailable: 1.0, ..SqsFaults::default() });
    let answer = world.call("SendMessage", send.clone()).await;
    assert_eq!((answer.status, answer.code()), (503, "ServiceUnavailable"));
    world.sqs.faults().set(SqsFaults::default());
    assert_eq!(world.sqs.message_count(), 0);
    world.call("SendMessage", send).await.ok();
    assert_eq!(world.sqs.message_count(), 1);
}

#[tokio::test]
async fn a_lost_answer_leaves_its_effect() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.sqs.faults().set(SqsFaults { lost_answer: 1.0, seed: 1, ..SqsFaults::default() });
    let mut dropped = 0;
    for n in 0..20 {
        match world.try_call("SendMessage", json!({"QueueUrl": url, "MessageBody": n.to_string()})).await {
            None => dropped += 1,
            Some(answer) => assert_eq!(answer.status, 500),
        }
    }
    assert!((1..20).contains(&dropped), "both kinds of loss: {dropped}");
    assert_eq!(world.sqs.message_count(), 20);
}

#[tokio::test]
async fn duplicates_are_delivered_while_the_first_is_in_flight_and_after_its_end() {
    let faults = SqsFaults { duplicate_delivery: 1.0, ..SqsFaults::default() };
    let world = World::with_faults(faults).await;
    let url = world.queue("q", json!({})).await;
    let sent = world.send(&url, "m").await;
    let first = world.receive(&url).await;
    assert_eq!(first.len(), 1, "never twice in one answer");
    world.delete(&url, &first[0]).await.ok();
    let second = world.receive(&url).await;
    assert_eq!(second[0]["MessageId"], sent["MessageId"]);
    world.delete(&url, &second[0]).await.ok();
    assert_eq!(world.sqs.message_count(), 0, "one duplicate each, so queues run dry");
}

#[tokio::test]
async fn reordering_loses_and_repeats_nothing() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.send_all(&url, (0..50).map(|n| n.to_string())).await;
    world.sqs.faults().set(SqsFaults { reorder: 1.0, seed: 7, ..SqsFaults::default() });
    let mut order = Vec::new();
    for _ in 0..5 {
        order.extend(bodies(&world.receive(&url).await).into_iter().map(str::to_owned));
    }
    assert_ne!(order, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(order.iter().collect::<HashSet<_>>().len(), 50);
}

#[tokio::test]
async fn the_seed_decides() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let faults = SqsFaults { throttle: 0.5, seed, ..SqsFaults::default() };
        let world = World::with_faults(faults).await;
        let mut run = Vec::new();
        for _ in 0..40 {
            run.push(world.call("ListQueues", json!({})).await.status);
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn short_polls_may_miss_messages_and_long_polls_do_not() {
    let faults = SqsFaults { empty_short_poll: 1.0, ..SqsFaults::default() };
    let world = World::with_faults(faults).await;
    let url = world.queue("q", json!({})).await;
    world.send(&url, "m").await;
    assert!(world.receive(&url).await.is_empty());
    assert_eq!(world.receive_with(&url, json!({"WaitTimeSeconds": 1})).await.len(), 1);
}

#[tokio::test]
async fn batches_fail_in_part() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.sqs.faults().set(SqsFaults { partial_batch_failure: 0.5, seed: 3, ..SqsFaults::default() });
    let entries: Vec<_> = (0..10).map(|n| json!({"Id": n.to_string(), "MessageBody": n.to_string()})).collect();
    let answer = world.call("SendMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await;
    assert_eq!(answer.status, 200);
    let failed = answer.body["Failed"].as_array().unwrap();
    assert!((1..10).contains(&failed.len()));
    assert!(failed.iter().all(|entry| entry["SenderFault"] == false && entry["Code"] == "InternalFailure"));
    assert_eq!(world.sqs.message_count(), 10 - failed.len());
    world.sqs.faults().set(SqsFaults { partial_batch_failure: 1.0, ..SqsFaults::default() });
    let received = world.receive(&url).await;
    let entries: Vec<_> =
        received.iter().map(|m| json!({"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]})).collect();
    let answer = world.call("DeleteMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await;
    assert_eq!(answer.body["Failed"].as_array().unwrap().len(), received.len());
    assert_eq!(world.sqs.message_count(), 10 - failed.len());
}

#[tokio::test]
async fn counts_lag() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.send(&url, "1").await;
    let lag = Some(Duration::from_secs(60));
    world.sqs.faults().set(SqsFaults { lagging_counts: lag, ..SqsFaults::default() });
    world.send(&url, "2").await;
    world.advance_ms(30_000);
    world.send(&url, "3").await;
    assert_eq!(world.counts(&url).await, ["1", "0", "0"]);
    assert_eq!(world.depth("q"), (3, 0, 0), "the tests' own count is exact");
    world.advance_ms(30_000);
    assert_eq!(world.counts(&url).await, ["2", "0", "0"]);
    world.advance_ms(30_000);
    assert_eq!(world.counts(&url).await, ["3", "0", "0"]);
    world.send(&url, "4").await;
    world.sqs.faults().set(SqsFaults::default());
    assert_eq!(world.counts(&url).await, ["4", "0", "0"]);
}

#[tokio::test]
async fn a_new_queue_takes_its_time() {
    let delay = Duration::from_secs(1);
    let faults = SqsFaults { new_queue_delay: delay, ..SqsFaults::default() };
    let world = World::with_faults(faults).await;
    let url = world.queue("q", json!({})).await;
    world.advance_ms(999);
    for (action, body) in
        [("SendMessage", json!({"QueueUrl": url, "MessageBody": "m"})), ("GetQueueUrl", json!({"QueueName": "q"}))]
    {
        assert_eq!(world.call(action, body).await.code(), "AWS.SimpleQueueService.NonExistentQueue");
    }
    world.advance_ms(1);
    world.send(&url, "m").await;
}

#[tokio::test]
async fn latency_delays_the_answer_in_real_time() {
    let world = World::new().await;
    let latency = Duration::from_millis(20);
    world.sqs.faults().set(SqsFaults { latency, ..SqsFaults::default() });
    assert_eq!(world.sqs.faults().current().latency, latency);
    let start = std::time::Instant::now();
    world.call("ListQueues", json!({})).await.ok();
    // A lower bound only: it holds on however slow a machine.
    assert!(start.elapsed() >= latency);
}
