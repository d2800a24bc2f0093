//! Bad parameters get AWS's error, never a 500.

use serde_json::{Value, json};

use crate::world::World;

const NOT_THERE: &str = "AWS.SimpleQueueService.NonExistentQueue";

#[tokio::test]
async fn bad_parameters() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let fifo = world.queue("f.fifo", json!({"FifoQueue": "true"})).await;
    let message = |extra: Value| merge(json!({"QueueUrl": url, "MessageBody": "m"}), extra);
    let attribute = |name: &str, value: Value| message(json!({"MessageAttributes": {name: value}}));
    let text = json!({"DataType": "String", "StringValue": "v"});
    let eleven: Value = (0..11).map(|n| (format!("a{n}"), text.clone())).collect::<serde_json::Map<_, _>>().into();
    let on_fifo = |extra: Value| merge(json!({"QueueUrl": fifo, "MessageBody": "m"}), extra);
    let create = |name: &str, attributes: Value| json!({"QueueName": name, "Attributes": attributes});
    let receive = |extra: Value| merge(json!({"QueueUrl": url}), extra);
    for (action, body, code) in [
        // Names and addresses
        ("CreateQueue", create("bad name!", json!({})), "InvalidParameterValue"),
        ("CreateQueue", create(&"x".repeat(81), json!({})), "InvalidParameterValue"),
        ("CreateQueue", create("x.fifo", json!({})), "InvalidParameterValue"),
        ("CreateQueue", create("x", json!({"FifoQueue": "true"})), "InvalidParameterValue"),
        ("CreateQueue", create("", json!({})), "MissingParameter"),
        ("GetQueueUrl", json!({"QueueName": "nope"}), NOT_THERE),
        ("GetQueueUrl", json!({"QueueName": "q", "QueueOwnerAWSAccountId": "1"}), NOT_THERE),
        ("SendMessage", json!({"MessageBody": "m"}), "MissingParameter"),
        ("SendMessage", json!({"QueueUrl": "", "MessageBody": "m"}), "MissingParameter"),
        ("SendMessage", json!({"QueueUrl": "nonsense", "MessageBody": "m"}), "InvalidAddress"),
        ("SendMessage", json!({"QueueUrl": format!("{url}nope"), "MessageBody": "m"}), NOT_THERE),
        // Attributes of queues
        ("CreateQueue", create("x", json!({"VisibilityTimeout": "43201"})), "InvalidAttributeValue"),
        ("CreateQueue", create("x", json!({"DelaySeconds": "-1"})), "InvalidAttributeValue"),
        ("CreateQueue", create("x", json!({"MaximumMessageSize": "1"})), "InvalidAttributeValue"),
        ("CreateQueue", create("x", json!({"MessageRetentionPeriod": "a"})), "InvalidAttributeValue"),
        ("CreateQueue", create("x", json!({"ReceiveMessageWaitTimeSeconds": "21"})), "InvalidAttributeValue"),
        ("CreateQueue", create("x", json!({"Policy": "["})), "InvalidAttributeValue"),
        ("CreateQueue", create("x", json!({"Bogus": "1"})), "InvalidAttributeName"),
        ("CreateQueue", create("x", json!({"RedrivePolicy": "{}"})), "InvalidParameterValue"),
        ("CreateQueue", create("x.fifo", json!({"FifoQueue": "perhaps"})), "InvalidAttributeValue"),
        ("SetQueueAttributes", json!({"QueueUrl": url, "Attributes": {"Bogus": "1"}}), "InvalidAttributeName"),
        ("SetQueueAttributes", json!({"QueueUrl": url, "Attributes": {"FifoQueue": "true"}}), "InvalidAttributeValue"),
        ("SetQueueAttributes", json!({"QueueUrl": url}), "MissingParameter"),
        ("GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["Bogus"]}), "InvalidAttributeName"),
        ("TagQueue", json!({"QueueUrl": url}), "MissingParameter"),
        ("TagQueue", json!({"QueueUrl": url, "Tags": {"aws:x": "1"}}), "InvalidParameterValue"),
        ("UntagQueue", json!({"QueueUrl": url, "TagKeys": []}), "MissingParameter"),
        ("ListQueues", json!({"MaxResults": 0}), "InvalidParameterValue"),
        ("ListQueues", json!({"MaxResults": 1001}), "InvalidParameterValue"),
        ("ListQueues", json!({"MaxResults": 1, "NextToken": "!"}), "InvalidParameterValue"),
        // Messages
        ("SendMessage", json!({"QueueUrl": url}), "MissingParameter"),
        ("SendMessage", message(json!({"MessageBody": ""})), "MissingParameter"),
        ("SendMessage", message(json!({"MessageBody": "a\u{1}"})), "InvalidMessageContents"),
        ("SendMessage", message(json!({"MessageBody": "\u{FFFF}"})), "InvalidMessageContents"),
        ("SendMessage", message(json!({"MessageBody": "x".repeat(1_048_577)})), "InvalidParameterValue"),
        ("SendMessage", message(json!({"DelaySeconds": 901})), "InvalidParameterValue"),
        ("SendMessage", message(json!({"DelaySeconds": -1})), "InvalidParameterValue"),
        ("SendMessage", message(json!({"DelaySeconds": i64::MAX})), "InvalidParameterValue"),
        ("SendMessage", message(json!({"MessageDeduplicationId": "1"})), "InvalidParameterValue"),
        ("SendMessage", message(json!({"MessageGroupId": "a b"})), "InvalidParameterValue"),
        ("SendMessage", message(json!({"MessageGroupId": "x".repeat(129)})), "InvalidParameterValue"),
        ("SendMessage", message(json!({"MessageAttributes": eleven})), "InvalidParameterValue"),
        ("SendMessage", attribute("AWS.x", text.clone()), "InvalidParameterValue"),
        ("SendMessage", attribute("", text.clone()), "InvalidParameterValue"),
        ("SendMessage", attribute("a..b", text.clone()), "InvalidParameterValue"),
        ("SendMessage", attribute("a", json!({})), "InvalidParameterValue"),
        ("SendMessage", attribute("a", json!({"DataType": "Date", "StringValue": "v"})), "InvalidParameterValue"),
        ("SendMessage", attribute("a", json!({"DataType": "String"})), "InvalidParameterValue"),
        ("SendMessage", attribute("a", json!({"DataType": "String", "StringValue": ""})), "InvalidParameterValue"),
        ("SendMessage", attribute("a", json!({"DataType": "Number", "StringValue": "x"})), "InvalidParameterValue"),
        ("SendMessage", attribute("a", json!({"DataType": "Binary", "BinaryValue": "*"})), "InvalidParameterValue"),
        ("SendMessage", attribute("a", json!({"DataType": "Binary", "StringValue": "v"})), "InvalidParameterValue"),
        (
            "SendMessage",
            attribute("a", json!({"DataType": "String", "StringValue": "\u{1}"})),
            "InvalidMessageContents",
        ),
        ("SendMessage", message(json!({"MessageSystemAttributes": {"Other": text}})), "InvalidParameterValue"),
        ("SendMessage", on_fifo(json!({"MessageDeduplicationId": "1"})), "MissingParameter"),
        ("SendMessage", on_fifo(json!({"MessageGroupId": "g"})), "InvalidParameterValue"),
        (
            "SendMessage",
            on_fifo(json!({"MessageGroupId": "g", "MessageDeduplicationId": "1", "DelaySeconds": 5})),
            "InvalidParameterValue",
        ),
        // Receiving
        ("ReceiveMessage", receive(json!({"MaxNumberOfMessages": 0})), "InvalidParameterValue"),
        ("ReceiveMessage", receive(json!({"MaxNumberOfMessages": 11})), "InvalidParameterValue"),
        ("ReceiveMessage", receive(json!({"WaitTimeSeconds": 21})), "InvalidParameterValue"),
        ("ReceiveMessage", receive(json!({"VisibilityTimeout": 43_201})), "InvalidParameterValue"),
        ("ReceiveMessage", receive(json!({"VisibilityTimeout": -1})), "InvalidParameterValue"),
        ("ReceiveMessage", receive(json!({"AttributeNames": ["Bogus"]})), "InvalidAttributeName"),
        ("DeleteMessage", json!({"QueueUrl": url}), "MissingParameter"),
        ("DeleteMessage", json!({"QueueUrl": url, "ReceiptHandle": "garbage"}), "ReceiptHandleIsInvalid"),
        (
            "ChangeMessageVisibility",
            json!({"QueueUrl": url, "ReceiptHandle": "garbage", "VisibilityTimeout": 0}),
            "ReceiptHandleIsInvalid",
        ),
        (
            "ChangeMessageVisibility",
            json!({"QueueUrl": url, "ReceiptHandle": "garbage", "VisibilityTimeout": 43_201}),
            "InvalidParameterValue",
        ),
        // Move tasks
        ("StartMessageMoveTask", json!({}), "MissingParameter"),
        ("StartMessageMoveTask", json!({"SourceArn": "nonsense"}), "ResourceNotFoundException"),
        ("ListMessageMoveTasks", json!({"SourceArn": "nonsense"}), "ResourceNotFoundException"),
        ("CancelMessageMoveTask", json!({"TaskHandle": "nonsense"}), "ResourceNotFoundException"),
    ] {
        let answer = world.call(action, body.clone()).await;
        let body: String = body.to_string().chars().take(200).collect();
        assert_eq!(answer.code(), code, "{action} {body}");
        assert!((400..500).contains(&answer.status), "{action} {body}: {answer:?}");
    }
    assert_eq!(world.sqs.message_count(), 0);
}

fn merge(mut base: Value, extra: Value) -> Value {
    for (name, value) in extra.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}
