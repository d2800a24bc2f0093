//! Delayed messages, the retention period, and digests.

use serde_json::json;

use crate::world::{START_MS, World, bodies};

#[tokio::test]
async fn a_delayed_message_shows_at_its_millisecond() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let send = json!({"QueueUrl": url, "MessageBody": "late", "DelaySeconds": 2});
    world.call("SendMessage", send).await.ok();
    assert_eq!(world.depth("q"), (0, 0, 1));
    world.advance_ms(1_999);
    assert!(world.receive(&url).await.is_empty());
    world.advance_ms(1);
    assert_eq!(bodies(&world.receive(&url).await), ["late"]);
    assert_eq!(world.depth("q"), (0, 1, 0));
}

#[tokio::test]
async fn the_queue_delays_unless_the_message_says_otherwise() {
    let world = World::new().await;
    let url = world.queue("q", json!({"DelaySeconds": "5"})).await;
    world.send(&url, "queue's delay").await;
    let send = json!({"QueueUrl": url, "MessageBody": "no delay", "DelaySeconds": 0});
    world.call("SendMessage", send).await.ok();
    assert_eq!(bodies(&world.receive(&url).await), ["no delay"]);
    world.advance_ms(5_000);
    assert_eq!(bodies(&world.receive(&url).await), ["queue's delay"]);
}

#[tokio::test]
async fn messages_come_in_the_order_they_became_visible() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    for (body, delay_s) in [("c", 3), ("b", 2), ("a", 0), ("a2", 0)] {
        let send = json!({"QueueUrl": url, "MessageBody": body, "DelaySeconds": delay_s});
        world.call("SendMessage", send).await.ok();
    }
    world.advance_ms(10_000);
    assert_eq!(bodies(&world.receive(&url).await), ["a", "a2", "b", "c"]);
}

#[tokio::test]
async fn old_messages_vanish_in_every_state() {
    let world = World::new().await;
    let url = world.queue("q", json!({"MessageRetentionPeriod": "60"})).await;
    world.send_all(&url, ["1".into(), "2".into()]).await;
    let delayed = json!({"QueueUrl": url, "MessageBody": "3", "DelaySeconds": 900});
    world.call("SendMessage", delayed).await.ok();
    world.receive_with(&url, json!({"VisibilityTimeout": 600})).await;
    assert_eq!(world.depth("q"), (1, 1, 1));
    world.advance_ms(59_999);
    assert_eq!(world.sqs.message_count(), 3);
    world.advance_ms(1);
    assert_eq!(world.sqs.message_count(), 0);
}

#[tokio::test]
async fn contents_and_digests_come_back() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let sent = world
        .call(
            "SendMessage",
            json!({
                "QueueUrl": url,
                "MessageBody": "message digest",
                "MessageGroupId": "tenant",
                "MessageAttributes": {
                    "timestamp": {"DataType": "Number", "StringValue": "1493147359900"},
                },
                "MessageSystemAttributes": {
                    "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"},
                },
            }),
        )
        .await
        .ok();
    assert_eq!(sent["MD5OfMessageBody"], "f96b697d7cb7938d525a2f31aaf161d0");
    assert_eq!(sent["MD5OfMessageAttributes"], "235c5c510d26fb653d073faed50ae77c");
    assert!(sent["MD5OfMessageSystemAttributes"].is_string());

    let message = &world.receive(&url).await[0];
    assert_eq!(message["MessageId"], sent["MessageId"]);
    assert_eq!(message["MD5OfBody"], sent["MD5OfMessageBody"]);
    assert_eq!(message["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"]);
    assert_eq!(message["MessageAttributes"]["timestamp"]["StringValue"], "1493147359900");
    let attributes = &message["Attributes"];
    assert_eq!(attributes["SentTimestamp"], START_MS.to_string());
    assert_eq!(attributes["ApproximateFirstReceiveTimestamp"], START_MS.to_string());
    assert_eq!(attributes["ApproximateReceiveCount"], "1");
    assert_eq!(attributes["MessageGroupId"], "tenant");
    assert_eq!(attributes["AWSTraceHeader"], "Root=1-5759e988-bd862e3fe1be46a994272793");
}

#[tokio::test]
async fn only_the_attributes_asked_for_come_back() {
    let world = World::new().await;
    let url = world.queue("q", json!({"VisibilityTimeout": "0"})).await;
    let text = json!({"DataType": "String", "StringValue": "v"});
    let binary = json!({"DataType": "Binary.png", "BinaryValue": "AP8="});
    let attributes = json!({"a": text, "app.one": text, "app.two": binary});
    world.call("SendMessage", json!({"QueueUrl": url, "MessageBody": "x", "MessageAttributes": attributes})).await.ok();
    for (wanted, names) in [
        (json!([]), vec![]),
        (json!(["a", "nope"]), vec!["a"]),
        (json!(["app.*"]), vec!["app.one", "app.two"]),
        (json!([".*"]), vec!["a", "app.one", "app.two"]),
    ] {
        let body = json!({"QueueUrl": url, "MessageAttributeNames": wanted});
        let message = world.call("ReceiveMessage", body).await.ok()["Messages"][0].take();
        let found = message["MessageAttributes"].as_object().into_iter().flatten();
        assert_eq!(found.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names, "{wanted}");
        assert_eq!(message["MD5OfMessageAttributes"].is_string(), !names.is_empty(), "{wanted}");
        assert!(message["Attributes"].is_null(), "not asked for");
    }
}
