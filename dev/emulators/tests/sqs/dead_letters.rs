//! Dead-letter queues and the way back.

use serde_json::{Value, json};

use crate::world::{World, bodies, finish};

/// A queue with a dead-letter queue; returns both URLs and the latter's ARN.
async fn pair(world: &World, max_receive_count: u32) -> (String, String, String) {
    let dead = world.queue("dead", json!({})).await;
    let arn = world.arn(&dead).await;
    let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": max_receive_count}).to_string();
    let url = world.queue("q", json!({"VisibilityTimeout": "1", "RedrivePolicy": policy})).await;
    (url, dead, arn)
}

/// Receives until the message moves.
async fn fail(world: &World, url: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(world.receive(url).await.len(), 1);
        world.advance_ms(1_000);
    }
    assert!(world.receive(url).await.is_empty());
}

async fn last_task(world: &World, arn: &str) -> Value {
    let mut answer = world.call("ListMessageMoveTasks", json!({"SourceArn": arn})).await.ok();
    answer["Results"][0].take()
}

#[tokio::test]
async fn a_message_moves_after_its_last_try() {
    let world = World::new().await;
    let (url, dead, _) = pair(&world, 2).await;
    let sent = world.send(&url, "poison").await;
    fail(&world, &url, 2).await;
    assert_eq!((world.depth("q"), world.depth("dead")), ((0, 0, 0), (1, 0, 0)));
    let message = world.receive(&dead).await.remove(0);
    assert_eq!(message["MessageId"], sent["MessageId"]);
    assert_eq!(message["Attributes"]["DeadLetterQueueSourceArn"], world.arn(&url).await);
    let sources = world.call("ListDeadLetterSourceQueues", json!({"QueueUrl": dead})).await.ok();
    assert_eq!(sources["queueUrls"], json!([url]));
}

#[tokio::test]
async fn a_dead_letter_wakes_those_who_wait_for_it() {
    let world = World::new().await;
    let (url, dead, _) = pair(&world, 1).await;
    world.send(&url, "poison").await;
    let poll = world.waiting_poll(&dead, 20).await;
    fail(&world, &url, 1).await;
    assert_eq!(finish(poll).await.ok()["Messages"][0]["Body"], "poison");
}

#[tokio::test]
async fn a_move_task_takes_dead_letters_back() {
    let world = World::new().await;
    let (url, _, arn) = pair(&world, 1).await;
    world.send(&url, "again").await;
    fail(&world, &url, 1).await;
    world.call("StartMessageMoveTask", json!({"SourceArn": arn})).await.ok();
    let poll = world.waiting_or_done(&url).await;
    assert_eq!(poll["Messages"][0]["Body"], "again");
    let task = loop {
        let task = last_task(&world, &arn).await;
        if task["Status"] != "RUNNING" {
            break task;
        }
    };
    assert_eq!(task["Status"], "COMPLETED");
    assert_eq!(task["ApproximateNumberOfMessagesMoved"], 1);
}

#[tokio::test]
async fn a_slow_move_task_can_be_cancelled() {
    let world = World::new().await;
    let (_, dead, arn) = pair(&world, 1).await;
    let other = world.queue("other", json!({})).await;
    world.send_all(&dead, (0..5).map(|n| n.to_string())).await;
    let start = json!({
        "SourceArn": arn, "DestinationArn": world.arn(&other).await, "MaxNumberOfMessagesPerSecond": 2,
    });
    let handle = world.call("StartMessageMoveTask", start.clone()).await.ok()["TaskHandle"].clone();
    while last_task(&world, &arn).await["ApproximateNumberOfMessagesMoved"] != 2 {}
    assert_eq!(world.call("StartMessageMoveTask", start).await.code(), "InvalidParameterValue");
    let cancelled = world.call("CancelMessageMoveTask", json!({"TaskHandle": handle})).await.ok();
    assert_eq!(cancelled["ApproximateNumberOfMessagesMoved"], 2);
    world.advance_ms(10_000);
    assert_eq!(last_task(&world, &arn).await["Status"], "CANCELLED");
    assert_eq!(bodies(&world.receive(&other).await), ["0", "1"]);
    let again = world.call("CancelMessageMoveTask", json!({"TaskHandle": handle})).await;
    assert_eq!(again.code(), "AWS.SimpleQueueService.UnsupportedOperation");
}

#[tokio::test]
async fn policies_that_lead_nowhere_are_refused() {
    let world = World::new().await;
    let (url, dead, arn) = pair(&world, 1).await;
    let fifo = world.queue("f.fifo", json!({"FifoQueue": "true"})).await;
    for target in ["arn:aws:sqs:us-east-1:000000000000:nope", &world.arn(&fifo).await] {
        let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": 1}).to_string();
        let body = json!({"QueueUrl": url, "Attributes": {"RedrivePolicy": policy}});
        assert_eq!(world.call("SetQueueAttributes", body).await.code(), "InvalidParameterValue");
    }
    let deny = json!({"redrivePermission": "denyAll"}).to_string();
    let body = json!({"QueueUrl": dead, "Attributes": {"RedriveAllowPolicy": deny}});
    world.call("SetQueueAttributes", body).await.ok();
    let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 1}).to_string();
    let body = json!({"QueueName": "denied", "Attributes": {"RedrivePolicy": policy}});
    assert_eq!(world.call("CreateQueue", body).await.code(), "InvalidParameterValue");
    let task = world.call("StartMessageMoveTask", json!({"SourceArn": world.arn(&url).await})).await;
    assert_eq!(task.code(), "InvalidParameterValue", "not a dead-letter queue");
}

impl World {
    /// A long poll that either finds a message at once or is woken by one.
    async fn waiting_or_done(&self, url: &str) -> Value {
        self.call("ReceiveMessage", json!({"QueueUrl": url, "WaitTimeSeconds": 20})).await.ok()
    }
}
