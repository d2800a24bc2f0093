//! Batches that fail in part.

use serde_json::{Value, json};

use crate::world::World;

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|entry| entry["Id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn sends_fail_one_by_one() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let entries = json!([
        {"Id": "a", "MessageBody": "1"},
        {"Id": "b", "MessageBody": "2", "DelaySeconds": 901},
        {"Id": "c", "MessageBody": "\u{1}"},
        {"Id": "d"},
        {"Id": "e", "MessageBody": "3", "DelaySeconds": 900},
    ]);
    let answer = world.call("SendMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await.ok();
    assert_eq!(ids(&answer["Successful"]), ["a", "e"]);
    let failed: Vec<_> = answer["Failed"].as_array().unwrap().iter().map(|entry| &entry["Code"]).collect();
    assert_eq!(failed, ["InvalidParameterValue", "InvalidMessageContents", "MissingParameter"]);
    assert_eq!(answer["Failed"][0]["SenderFault"], true);
    assert_eq!(world.depth("q"), (1, 0, 1));
}

#[tokio::test]
async fn deletes_and_changes_fail_one_by_one() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.send_all(&url, (0..3).map(|n| n.to_string())).await;
    let messages = world.receive(&url).await;
    let entries = json!([
        {"Id": "0", "ReceiptHandle": messages[0]["ReceiptHandle"], "VisibilityTimeout": 0},
        {"Id": "bad", "ReceiptHandle": "garbage", "VisibilityTimeout": 0},
        {"Id": "missing", "ReceiptHandle": messages[1]["ReceiptHandle"]},
    ]);
    let answer = world.call("ChangeMessageVisibilityBatch", json!({"QueueUrl": url, "Entries": entries})).await.ok();
    assert_eq!((ids(&answer["Successful"]), ids(&answer["Failed"])), (vec!["0"], vec!["bad", "missing"]));
    assert_eq!(world.depth("q"), (1, 2, 0));

    let entries = json!([
        {"Id": "0", "ReceiptHandle": messages[0]["ReceiptHandle"]},
        {"Id": "bad", "ReceiptHandle": "garbage"},
        {"Id": "1", "ReceiptHandle": messages[1]["ReceiptHandle"]},
    ]);
    let answer = world.call("DeleteMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await.ok();
    assert_eq!((ids(&answer["Successful"]), ids(&answer["Failed"])), (vec!["0", "1"], vec!["bad"]));
    assert_eq!(world.sqs.message_count(), 1);
}
