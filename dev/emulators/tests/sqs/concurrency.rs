//! Many clients at once.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::world::{World, call};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_receivers_share_400_messages() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    for batch in 0..40 {
        let entries: Vec<_> =
            (0..10).map(|n| json!({"Id": n.to_string(), "MessageBody": format!("{batch}-{n}")})).collect();
        world.call("SendMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await.ok();
    }
    let receivers: Vec<_> = (0..16)
        .map(|_| {
            let (base_url, body) = (world.sqs.url().to_owned(), json!({"QueueUrl": url, "MaxNumberOfMessages": 3}));
            tokio::spawn(async move {
                let mut got = Vec::new();
                loop {
                    let answer = call(&base_url, "ReceiveMessage", &body).await.unwrap().ok();
                    let Some(messages) = answer["Messages"].as_array() else {
                        return got;
                    };
                    got.extend(messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()));
                }
            })
        })
        .collect();
    let mut got = Vec::new();
    for receiver in receivers {
        got.extend(receiver.await.unwrap());
    }
    assert_eq!(got.len(), 400);
    assert_eq!(got.iter().collect::<HashSet<_>>().len(), 400);
    assert_eq!(world.depth("q"), (0, 400, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_between_senders_and_long_polls() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let receivers: Vec<_> = (0..8)
        .map(|_| {
            let (base_url, url) = (world.sqs.url().to_owned(), url.clone());
            tokio::spawn(async move {
                let mut got = 0;
                loop {
                    let body = json!({"QueueUrl": url, "WaitTimeSeconds": 20});
                    let answer = call(&base_url, "ReceiveMessage", &body).await.unwrap().ok();
                    let Some(message) = answer["Messages"].get(0) else {
                        return got;
                    };
                    let body = json!({"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]});
                    call(&base_url, "DeleteMessage", &body).await.unwrap().ok();
                    got += 1;
                }
            })
        })
        .collect();
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (base_url, body) = (world.sqs.url().to_owned(), json!({"QueueUrl": url, "MessageBody": "m"}));
            tokio::spawn(async move {
                for _ in 0..50 {
                    call(&base_url, "SendMessage", &body).await.unwrap().ok();
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    // The clock stands still: only arrivals can have woken the polls.
    while world.sqs.message_count() > 0 || world.sqs.waiting_polls() < 8 {
        tokio::task::yield_now().await;
    }
    world.advance_ms(20_000);
    let mut got = 0;
    for receiver in receivers {
        got += receiver.await.unwrap();
    }
    assert_eq!(got, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letter_queues_of_one_another_do_not_lock_up() {
    let world = World::new().await;
    let (a, b) = (world.queue("a", json!({})).await, world.queue("b", json!({})).await);
    for (url, other) in [(&a, &b), (&b, &a)] {
        let policy = json!({"deadLetterTargetArn": world.arn(other).await, "maxReceiveCount": 1}).to_string();
        let attributes = json!({"RedrivePolicy": policy, "VisibilityTimeout": "0"});
        world.call("SetQueueAttributes", json!({"QueueUrl": url, "Attributes": attributes})).await.ok();
        world.send_all(url, (0..10).map(|n| n.to_string())).await;
    }
    let receivers: Vec<_> = [&a, &b, &a, &b]
        .map(|url| (world.sqs.url().to_owned(), json!({"QueueUrl": url, "MaxNumberOfMessages": 10})))
        .into_iter()
        .map(|(base_url, body): (String, Value)| {
            tokio::spawn(async move {
                for _ in 0..20 {
                    call(&base_url, "ReceiveMessage", &body).await.unwrap().ok();
                }
            })
        })
        .collect();
    for receiver in receivers {
        receiver.await.unwrap();
    }
    assert_eq!(world.sqs.message_count(), 20);
}
