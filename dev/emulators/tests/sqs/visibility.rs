//! Messages in flight.

use serde_json::json;

use crate::world::{World, bodies};

#[tokio::test]
async fn a_message_is_hidden_for_its_timeout_and_comes_back_to_its_place() {
    let world = World::new().await;
    let url = world.queue("q", json!({"VisibilityTimeout": "30"})).await;
    world.send_all(&url, (0..3).map(|n| n.to_string())).await;
    let first = world.receive_with(&url, json!({})).await;
    assert_eq!(bodies(&first), ["0"]);
    world.advance_ms(29_999);
    assert_eq!(bodies(&world.receive_with(&url, json!({})).await), ["1"]);
    world.advance_ms(1);
    let all = world.receive(&url).await;
    assert_eq!(bodies(&all), ["0", "2"], "back before those sent later");
    assert_eq!(all[0]["Attributes"]["ApproximateReceiveCount"], "2");
    assert_ne!(all[0]["ReceiptHandle"], first[0]["ReceiptHandle"]);
    assert_eq!(
        all[0]["Attributes"]["ApproximateFirstReceiveTimestamp"],
        first[0]["Attributes"]["ApproximateFirstReceiveTimestamp"]
    );
}

#[tokio::test]
async fn visibility_can_be_shortened_and_extended() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.send(&url, "m").await;
    let message = world.receive(&url).await.remove(0);
    world.change_visibility(&url, &message, 0).await.ok();
    let message = world.receive(&url).await.remove(0);
    world.change_visibility(&url, &message, 600).await.ok();
    world.advance_ms(599_999);
    assert!(world.receive(&url).await.is_empty());
    world.advance_ms(1);
    assert_eq!(world.receive(&url).await.len(), 1);
}

#[tokio::test]
async fn a_message_stays_hidden_twelve_hours_at_most() {
    let world = World::new().await;
    let url = world.queue("q", json!({"VisibilityTimeout": "43200"})).await;
    world.send(&url, "m").await;
    let message = world.receive(&url).await.remove(0);
    world.change_visibility(&url, &message, 43_200).await.ok();
    world.advance_ms(1_000);
    let refused = world.change_visibility(&url, &message, 43_200).await;
    assert_eq!(refused.code(), "InvalidParameterValue");
    world.change_visibility(&url, &message, 43_199).await.ok();
}

#[tokio::test]
async fn counts_follow_the_messages() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.send_all(&url, (0..4).map(|n| n.to_string())).await;
    world.call("SendMessage", json!({"QueueUrl": url, "MessageBody": "d", "DelaySeconds": 60})).await.ok();
    let message = world.receive_with(&url, json!({})).await.remove(0);
    assert_eq!(world.counts(&url).await, ["3", "1", "1"]);
    assert_eq!(world.depth("q"), (3, 1, 1));
    world.delete(&url, &message).await.ok();
    world.advance_ms(60_000);
    assert_eq!(world.counts(&url).await, ["4", "0", "0"]);
    assert_eq!(world.sqs.message_count(), 4);
    assert_eq!(world.sqs.queue_depth("nope"), None);
}

#[tokio::test]
async fn a_receive_with_timeout_zero_hides_nothing() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.send(&url, "m").await;
    for count in ["1", "2", "3"] {
        let messages = world.receive_with(&url, json!({"VisibilityTimeout": 0, "MaxNumberOfMessages": 10})).await;
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0]["Attributes"]["ApproximateReceiveCount"], count);
    }
}
