//! Receipt handles that are stale, garbage or of another queue.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_stale_handle_neither_deletes_nor_hides() {
    let world = World::new().await;
    let url = world.queue("q", json!({"VisibilityTimeout": "1"})).await;
    world.send(&url, "m").await;
    let stale = world.receive(&url).await.remove(0);
    world.advance_ms(1_000);
    assert_eq!(world.change_visibility(&url, &stale, 9).await.code(), "AWS.SimpleQueueService.MessageNotInflight");
    let latest = world.receive(&url).await.remove(0);
    assert_eq!(world.change_visibility(&url, &stale, 9).await.code(), "AWS.SimpleQueueService.MessageNotInflight");
    world.delete(&url, &stale).await.ok();
    assert_eq!(world.sqs.message_count(), 1, "the stale handle deleted it");
    // The latest handle works even after its time.
    world.advance_ms(1_000);
    world.delete(&url, &latest).await.ok();
    assert_eq!(world.sqs.message_count(), 0);
    world.delete(&url, &latest).await.ok();
    assert_eq!(world.change_visibility(&url, &latest, 9).await.code(), "InvalidParameterValue");
}

#[tokio::test]
async fn garbage_and_foreign_handles_are_refused() {
    let world = World::new().await;
    let (one, two) = (world.queue("one", json!({})).await, world.queue("two", json!({})).await);
    world.send(&one, "m").await;
    let message = world.receive(&one).await.remove(0);
    assert_eq!(world.delete(&two, &message).await.code(), "ReceiptHandleIsInvalid");
    assert_eq!(world.delete(&one, &json!({"ReceiptHandle": "garbage"})).await.code(), "ReceiptHandleIsInvalid");
    assert_eq!(world.delete(&one, &json!({"ReceiptHandle": ""})).await.code(), "MissingParameter");
}

#[tokio::test]
async fn a_fifo_queue_refuses_expired_handles() {
    let world = World::new().await;
    let url = world.queue("q.fifo", json!({"FifoQueue": "true", "VisibilityTimeout": "1"})).await;
    let send = json!({"QueueUrl": url, "MessageBody": "m", "MessageGroupId": "g", "MessageDeduplicationId": "1"});
    world.call("SendMessage", send).await.ok();
    let message = world.receive(&url).await.remove(0);
    world.advance_ms(1_000);
    assert_eq!(world.delete(&url, &message).await.code(), "InvalidParameterValue");
    assert_eq!(world.sqs.message_count(), 1);
}
