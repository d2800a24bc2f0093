//! Making, listing, changing and deleting queues.

use serde_json::{Value, json};

use crate::world::{START_MS, World};

#[tokio::test]
async fn creating_twice_is_fine_unless_the_attributes_differ() {
    let world = World::new().await;
    let url = world.queue("q", json!({"VisibilityTimeout": "31"})).await;
    assert_eq!(url, format!("{}/000000000000/q", world.sqs.url()));
    assert_eq!(world.queue("q", json!({})).await, url);
    assert_eq!(world.queue("q", json!({"VisibilityTimeout": "31"})).await, url);
    let other = json!({"QueueName": "q", "Attributes": {"VisibilityTimeout": "32"}});
    assert_eq!(world.call("CreateQueue", other).await.code(), "QueueAlreadyExists");
    assert_eq!(world.call("GetQueueUrl", json!({"QueueName": "q"})).await.ok()["QueueUrl"], url);
}

#[tokio::test]
async fn a_deleted_name_is_blocked_for_a_minute() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.send(&url, "m").await;
    world.call("DeleteQueue", json!({"QueueUrl": url})).await.ok();
    let send = world.call("SendMessage", json!({"QueueUrl": url, "MessageBody": "m"})).await;
    assert_eq!(send.code(), "AWS.SimpleQueueService.NonExistentQueue");
    world.advance_ms(59_999);
    let create = world.call("CreateQueue", json!({"QueueName": "q"})).await;
    assert_eq!(create.code(), "AWS.SimpleQueueService.QueueDeletedRecently");
    world.advance_ms(1);
    world.queue("q", json!({})).await;
    assert_eq!(world.depth("q"), (0, 0, 0));
}

#[tokio::test]
async fn a_purge_drops_all_once_a_minute() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.send_all(&url, ["1".into(), "2".into()]).await;
    let held = world.receive_with(&url, json!({})).await.remove(0);
    world.call("SendMessage", json!({"QueueUrl": url, "MessageBody": "d", "DelaySeconds": 9})).await.ok();
    world.call("PurgeQueue", json!({"QueueUrl": url})).await.ok();
    assert_eq!(world.depth("q"), (0, 0, 0));
    world.delete(&url, &held).await.ok();
    let again = world.call("PurgeQueue", json!({"QueueUrl": url})).await;
    assert_eq!(again.code(), "AWS.SimpleQueueService.PurgeQueueInProgress");
    world.advance_ms(60_000);
    world.call("PurgeQueue", json!({"QueueUrl": url})).await.ok();
    world.send(&url, "new").await;
    assert_eq!(world.receive(&url).await.len(), 1);
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let world = World::new().await;
    let deleted = world.queue("deleted", json!({})).await;
    world.call("DeleteQueue", json!({"QueueUrl": deleted})).await.ok();
    let purged = world.queue("purged", json!({})).await;
    world.call("PurgeQueue", json!({"QueueUrl": purged})).await.ok();
    world.send(&purged, "m").await;
    world.sqs.reset();
    assert_eq!(world.sqs.message_count(), 0);
    assert_eq!(world.call("ListQueues", json!({})).await.ok(), json!({}));
    world.queue("deleted", json!({})).await;
    let purged = world.queue("purged", json!({})).await;
    world.call("PurgeQueue", json!({"QueueUrl": purged})).await.ok();
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new().await;
    for name in ["a", "b1", "b2", "b3", "c"] {
        world.queue(name, json!({})).await;
    }
    let names = |answer: &Value| {
        let urls = answer["QueueUrls"].as_array().cloned().unwrap_or_default();
        urls.iter().map(|url| url.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = world.call("ListQueues", json!({})).await.ok();
    assert_eq!(names(&all), ["a", "b1", "b2", "b3", "c"]);
    let first = world.call("ListQueues", json!({"QueueNamePrefix": "b", "MaxResults": 2})).await.ok();
    assert_eq!(names(&first), ["b1", "b2"]);
    let next = json!({"QueueNamePrefix": "b", "MaxResults": 2, "NextToken": first["NextToken"]});
    let last = world.call("ListQueues", next).await.ok();
    assert_eq!((names(&last), &last["NextToken"]), (vec!["b3".to_owned()], &Value::Null));
}

#[tokio::test]
async fn attributes_change() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    assert_eq!(world.attribute(&url, "QueueArn").await, "arn:aws:sqs:us-east-1:000000000000:q");
    world.advance_ms(5_000);
    let body = json!({"QueueUrl": url, "Attributes": {"VisibilityTimeout": "7", "MaximumMessageSize": "1024"}});
    world.call("SetQueueAttributes", body).await.ok();
    assert_eq!(world.attribute(&url, "VisibilityTimeout").await, "7");
    assert_eq!(world.attribute(&url, "CreatedTimestamp").await, (START_MS / 1_000).to_string());
    assert_eq!(world.attribute(&url, "LastModifiedTimestamp").await, (START_MS / 1_000 + 5).to_string());
    let long = json!({"QueueUrl": url, "MessageBody": "x".repeat(1_025)});
    assert_eq!(world.call("SendMessage", long).await.code(), "InvalidParameterValue");
    world.send(&url, &"x".repeat(1_024)).await;
}

#[tokio::test]
async fn tags_come_and_go() {
    let world = World::new().await;
    let body = json!({"QueueName": "q", "tags": {"a": "1"}});
    let url = world.call("CreateQueue", body).await.ok()["QueueUrl"].clone();
    world.call("TagQueue", json!({"QueueUrl": url, "Tags": {"b": "2", "a": "3"}})).await.ok();
    let tags = world.call("ListQueueTags", json!({"QueueUrl": url})).await.ok();
    assert_eq!(tags, json!({"Tags": {"a": "3", "b": "2"}}));
    world.call("UntagQueue", json!({"QueueUrl": url, "TagKeys": ["a", "b", "c"]})).await.ok();
    assert_eq!(world.call("ListQueueTags", json!({"QueueUrl": url})).await.ok(), json!({}));
}

#[tokio::test]
async fn calls_and_messages_are_counted() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    world.send_all(&url, ["1".into(), "2".into()]).await;
    for message in world.receive(&url).await {
        world.delete(&url, &message).await.ok();
    }
    assert!(world.receive(&url).await.is_empty());
    world.call("DeleteMessage", json!({"QueueUrl": url, "ReceiptHandle": "garbage"})).await.code();
    let counters = world.sqs.counters();
    assert_eq!(counters.action("SendMessage").calls, 2);
    assert_eq!((counters.action("DeleteMessage").calls, counters.action("DeleteMessage").errors), (3, 1));
    assert!(counters.action("ReceiveMessage").answer_bytes > 200);
    assert!(counters.action("SendMessage").request_bytes > 100);
    assert_eq!(counters.action("PurgeQueue").calls, 0);
    assert_eq!(counters.total_calls(), 8);
    assert_eq!((counters.messages_sent, counters.messages_received), (2, 2));
    assert_eq!((counters.messages_deleted, counters.empty_receives), (2, 1));
}
