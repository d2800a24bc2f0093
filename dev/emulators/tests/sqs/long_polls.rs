//! Long polls: what wakes them, and what they must not hold up.

use serde_json::json;

use crate::world::{World, finish};

#[tokio::test]
async fn an_arrival_wakes_a_long_poll() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let poll = world.waiting_poll(&url, 20).await;
    world.send(&url, "hello").await;
    assert_eq!(finish(poll).await.ok()["Messages"][0]["Body"], "hello");
}

#[tokio::test]
async fn the_clock_wakes_long_polls() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    // Waits for its own end.
    let poll = world.waiting_poll(&url, 20).await;
    world.advance_ms(19_999);
    assert!(!poll.is_finished());
    world.advance_ms(1);
    assert!(finish(poll).await.ok()["Messages"].is_null());

    // Waits for a delayed message that was there before, and for one that came after.
    let delayed = json!({"QueueUrl": url, "MessageBody": "d", "DelaySeconds": 5});
    world.call("SendMessage", delayed.clone()).await.ok();
    let poll = world.waiting_poll(&url, 20).await;
    world.advance_ms(5_000);
    assert_eq!(finish(poll).await.ok()["Messages"][0]["Body"], "d");
    let poll = world.waiting_poll(&url, 20).await;
    world.call("SendMessage", delayed).await.ok();
    world.advance_ms(5_000);
    assert_eq!(finish(poll).await.ok()["Messages"][0]["Body"], "d");

    // Waits for a visibility timeout.
    let poll = world.waiting_poll(&url, 20).await;
    world.advance_ms(20_000);
    assert!(finish(poll).await.ok()["Messages"].is_null(), "hidden for 30 s");
    let poll = world.waiting_poll(&url, 20).await;
    world.advance_ms(5_000);
    assert_eq!(finish(poll).await.ok()["Messages"][0]["Body"], "d");
}

#[tokio::test]
async fn the_watch_for_the_next_message_is_handed_on() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    // Both sleep until their own ends. The delayed message tells the first one only; its client
    // then hangs up, and the second has to take over.
    let first = world.waiting_poll(&url, 20).await;
    let second = world.waiting_poll(&url, 20).await;
    world.call("SendMessage", json!({"QueueUrl": url, "MessageBody": "late", "DelaySeconds": 5})).await.ok();
    first.abort();
    while world.sqs.waiting_polls() > 1 {
        tokio::task::yield_now().await;
    }
    world.advance_ms(5_000);
    assert_eq!(finish(second).await.ok()["Messages"][0]["Body"], "late");
}

#[tokio::test]
async fn one_batch_feeds_many_polls() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let mut polls = Vec::new();
    for _ in 0..16 {
        polls.push(world.waiting_poll(&url, 20).await);
    }
    let entries: Vec<_> = (0..10).map(|n| json!({"Id": n.to_string(), "MessageBody": "x"})).collect();
    world.call("SendMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await.ok();
    while world.sqs.waiting_polls() > 6 {
        tokio::task::yield_now().await;
    }
    world.advance_ms(20_000);
    let mut received = 0;
    for poll in polls {
        received += finish(poll).await.ok()["Messages"].as_array().map_or(0, Vec::len);
    }
    assert_eq!(received, 10);
}

#[tokio::test]
async fn a_poll_ends_with_its_queue_its_client_or_the_emulator() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let poll = world.waiting_poll(&url, 20).await;
    world.call("DeleteQueue", json!({"QueueUrl": url})).await.ok();
    assert_eq!(finish(poll).await.code(), "AWS.SimpleQueueService.NonExistentQueue");

    let url = world.queue("r", json!({})).await;
    let poll = world.waiting_poll(&url, 20).await;
    poll.abort();
    while world.sqs.waiting_polls() > 0 {
        tokio::task::yield_now().await;
    }
    let poll = world.waiting_poll(&url, 20).await;
    world.sqs.reset();
    assert_eq!(finish(poll).await.code(), "AWS.SimpleQueueService.NonExistentQueue");

    let url = world.queue("s", json!({})).await;
    let poll = world.waiting_poll(&url, 20).await;
    world.sqs.shutdown().await;
    assert!(finish(poll).await.ok()["Messages"].is_null());
}

#[tokio::test]
async fn the_queue_can_make_every_poll_long() {
    let world = World::new().await;
    let url = world.queue("q", json!({"ReceiveMessageWaitTimeSeconds": "3"})).await;
    let body = json!({"QueueUrl": url});
    let base_url = world.sqs.url().to_owned();
    let poll = tokio::spawn(async move { crate::world::call(&base_url, "ReceiveMessage", &body).await.unwrap() });
    while world.sqs.waiting_polls() == 0 {
        tokio::task::yield_now().await;
    }
    world.advance_ms(3_000);
    assert!(finish(poll).await.ok()["Messages"].is_null());
}
