//! FIFO queues.

use serde_json::{Value, json};

use crate::world::{World, bodies, finish};

async fn fifo(world: &World, extra: Value) -> String {
    let mut attributes = json!({"FifoQueue": "true"});
    for (name, value) in extra.as_object().unwrap() {
        attributes[name] = value.clone();
    }
    world.queue("q.fifo", attributes).await
}

async fn send(world: &World, url: &str, body: &str, group: &str, id: &str) -> Value {
    let request = json!({
        "QueueUrl": url, "MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": id,
    });
    world.call("SendMessage", request).await.ok()
}

#[tokio::test]
async fn groups_keep_their_order_and_block_one_another_not() {
    let world = World::new().await;
    let url = fifo(&world, json!({})).await;
    for (body, group) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")] {
        send(&world, &url, body, group, body).await;
    }
    let first = world.receive_with(&url, json!({})).await;
    assert_eq!(bodies(&first), ["a1"]);
    assert_eq!(bodies(&world.receive(&url).await), ["b1"], "group a is blocked");
    world.delete(&url, &first[0]).await.ok();
    let rest = world.receive(&url).await;
    assert_eq!(bodies(&rest), ["a2", "a3"], "one receive may take several of a group");
    // The group stays blocked until both are settled, and the older one comes first.
    world.change_visibility(&url, &rest[0], 0).await.ok();
    assert!(world.receive(&url).await.is_empty());
    world.change_visibility(&url, &rest[1], 0).await.ok();
    assert_eq!(bodies(&world.receive(&url).await), ["a2", "a3"]);
}

#[tokio::test]
async fn a_delete_wakes_those_who_wait_for_the_group() {
    let world = World::new().await;
    let url = fifo(&world, json!({})).await;
    send(&world, &url, "1", "g", "1").await;
    send(&world, &url, "2", "g", "2").await;
    let first = world.receive_with(&url, json!({})).await;
    let poll = world.waiting_poll(&url, 20).await;
    world.delete(&url, &first[0]).await.ok();
    assert_eq!(finish(poll).await.ok()["Messages"][0]["Body"], "2");
}

#[tokio::test]
async fn duplicates_are_known_for_five_minutes() {
    let world = World::new().await;
    let url = fifo(&world, json!({})).await;
    let first = send(&world, &url, "m", "g", "id").await;
    assert!(first["SequenceNumber"].as_str().unwrap().parse::<u128>().unwrap() > 0);
    let message = world.receive(&url).await.remove(0);
    assert_eq!(message["Attributes"]["SequenceNumber"], first["SequenceNumber"]);
    assert_eq!(message["Attributes"]["MessageDeduplicationId"], "id");
    world.delete(&url, &message).await.ok();
    world.advance_ms(299_999);
    let again = send(&world, &url, "m", "g", "id").await;
    assert_eq!((&again["MessageId"], &again["SequenceNumber"]), (&first["MessageId"], &first["SequenceNumber"]));
    assert_eq!(world.sqs.message_count(), 0);
    world.advance_ms(1);
    assert_ne!(send(&world, &url, "m", "g", "id").await["MessageId"], first["MessageId"]);
    assert_eq!(world.sqs.message_count(), 1);
}

#[tokio::test]
async fn duplicates_are_found_by_content_or_in_the_group() {
    let world = World::new().await;
    let scope = json!({"ContentBasedDeduplication": "true", "DeduplicationScope": "messageGroup"});
    let url = fifo(&world, scope).await;
    for group in ["a", "a", "b"] {
        let request = json!({"QueueUrl": url, "MessageBody": "same", "MessageGroupId": group});
        world.call("SendMessage", request).await.ok();
    }
    let messages = world.receive(&url).await;
    assert_eq!(messages.len(), 2, "one for each group");
    assert_eq!(
        messages[0]["Attributes"]["MessageDeduplicationId"],
        "0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5",
        "SHA-256 of the body"
    );
}

#[tokio::test]
async fn the_queue_delay_keeps_the_order() {
    let world = World::new().await;
    let url = fifo(&world, json!({"DelaySeconds": "10"})).await;
    send(&world, &url, "1", "g", "1").await;
    world.advance_ms(5_000);
    send(&world, &url, "2", "g", "2").await;
    assert!(world.receive(&url).await.is_empty());
    world.advance_ms(5_000);
    assert_eq!(bodies(&world.receive(&url).await), ["1"]);
    world.advance_ms(5_000);
    assert!(world.receive(&url).await.is_empty(), "blocked by the first");
    assert_eq!(world.depth("q.fifo"), (1, 1, 0));
}

#[tokio::test]
async fn a_fifo_dead_letter_frees_its_group() {
    let world = World::new().await;
    let dead = world.queue("dead.fifo", json!({"FifoQueue": "true"})).await;
    let policy = json!({"deadLetterTargetArn": world.arn(&dead).await, "maxReceiveCount": 1}).to_string();
    let url = fifo(&world, json!({"VisibilityTimeout": "1", "RedrivePolicy": policy})).await;
    send(&world, &url, "poison", "g", "1").await;
    send(&world, &url, "good", "g", "2").await;
    assert_eq!(bodies(&world.receive_with(&url, json!({})).await), ["poison"]);
    world.advance_ms(1_000);
    assert_eq!(bodies(&world.receive(&url).await), ["good"]);
    assert_eq!(bodies(&world.receive(&dead).await), ["poison"]);
}
