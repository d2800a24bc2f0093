//! Broken requests and bad batches get AWS's error, never a 500.

use serde_json::{Value, json};

use crate::world::{World, post};

#[tokio::test]
async fn broken_requests() {
    let world = World::new().await;
    let target = |action: &str| format!("x-amz-target: AmazonSQS.{action}\r\n");
    for (headers, body, code) in [
        (String::new(), &b"{}"[..], "InvalidAction"),
        (target("Nonsense"), b"{}", "InvalidAction"),
        (target(""), b"{}", "InvalidAction"),
        ("x-amz-target: DynamoDB_20120810.ListTables\r\n".to_owned(), b"{}", "InvalidAction"),
        (target("CreateQueue"), b"{", "SerializationException"),
        (target("CreateQueue"), b"[]]", "SerializationException"),
        (target("CreateQueue"), b"null", "SerializationException"),
        (target("CreateQueue"), b"\xff\xfe", "SerializationException"),
        (target("CreateQueue"), br#"{"QueueName":7}"#, "SerializationException"),
        (target("CreateQueue"), br#"{"QueueName":"q","Attributes":{"DelaySeconds":5}}"#, "SerializationException"),
        (target("CreateQueue"), b"", "MissingParameter"),
        (target("SendMessage"), br#"{"MessageBody":"\ud800"}"#, "SerializationException"),
        (target("SendMessage"), br#"{"DelaySeconds":1e99}"#, "SerializationException"),
        (target("SendMessage"), br#"{"DelaySeconds":1.5}"#, "SerializationException"),
    ] {
        let answer = post(world.sqs.url(), &headers, body).await.unwrap();
        assert_eq!(answer.code(), code, "{headers} {body:?}");
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert!(answer.body["__type"].is_string() && answer.body["message"].is_string());
    }
    let deep = format!("{{\"X\":{}", "[".repeat(100_000));
    let answer = post(world.sqs.url(), &target("ListQueues"), deep.as_bytes()).await.unwrap();
    assert_eq!(answer.code(), "SerializationException");
}

#[tokio::test]
async fn bad_batches() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let entry = |id: &str| json!({"Id": id, "MessageBody": "m", "ReceiptHandle": "h", "VisibilityTimeout": 0});
    let many: Vec<_> = (0..11).map(|n| entry(&n.to_string())).collect();
    for action in ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"] {
        for (entries, code) in [
            (json!([]), "AWS.SimpleQueueService.EmptyBatchRequest"),
            (Value::Null, "AWS.SimpleQueueService.EmptyBatchRequest"),
            (json!(many), "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
            (json!([entry("a"), entry("a")]), "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
            (json!([entry("a b")]), "AWS.SimpleQueueService.InvalidBatchEntryId"),
            (json!([entry("")]), "AWS.SimpleQueueService.InvalidBatchEntryId"),
            (json!([entry(&"x".repeat(81))]), "AWS.SimpleQueueService.InvalidBatchEntryId"),
            (json!([{}]), "MissingParameter"),
        ] {
            let answer = world.call(action, json!({"QueueUrl": url, "Entries": entries})).await;
            assert_eq!(answer.code(), code, "{action} {entries}");
        }
    }
    let long: Vec<_> = (0..6).map(|n| json!({"Id": n.to_string(), "MessageBody": "x".repeat(200_000)})).collect();
    let answer = world.call("SendMessageBatch", json!({"QueueUrl": url, "Entries": long})).await;
    assert_eq!(answer.code(), "AWS.SimpleQueueService.BatchRequestTooLong");
    assert_eq!(world.sqs.message_count(), 0);
}

#[tokio::test]
async fn a_message_of_the_largest_size_fits() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    // In JSON every one of these characters is escaped.
    let body = "\n".repeat(1_048_576);
    world.send(&url, &body).await;
    assert_eq!(world.receive(&url).await[0]["Body"], body);
}
