//! What the Rust SDK makes of the answers.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry,
};
use ojs_emulators::SqsFaults;

use crate::world::World;

fn client(world: &World) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(world.sqs.url())
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn the_sdk_makes_the_round_trip() {
    let world = World::new().await;
    let client = client(&world);
    let created = client.create_queue().queue_name("q").attributes(QueueAttributeName::VisibilityTimeout, "60");
    let url = created.send().await.unwrap().queue_url.unwrap();
    let binary =
        MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0_u8, 255])).build().unwrap();
    client.send_message().queue_url(&url).message_body("é😀").message_attributes("b", binary).send().await.unwrap();
    let entry = SendMessageBatchRequestEntry::builder().id("1").message_body("two").build().unwrap();
    let batch = client.send_message_batch().queue_url(&url).entries(entry).send().await.unwrap();
    assert_eq!((batch.successful.len(), batch.failed.len()), (1, 0));

    let received = client.receive_message().queue_url(&url).max_number_of_messages(10).message_attribute_names("All");
    let messages = received.send().await.unwrap().messages.unwrap();
    assert_eq!(messages[0].body.as_deref(), Some("é😀"));
    let binary = messages[0].message_attributes.as_ref().unwrap()["b"].binary_value.as_ref().unwrap();
    assert_eq!(binary.as_ref(), [0, 255]);
    let mut delete = client.delete_message_batch().queue_url(&url);
    for (n, message) in messages.iter().enumerate() {
        let entry = DeleteMessageBatchRequestEntry::builder()
            .id(n.to_string())
            .receipt_handle(message.receipt_handle.as_deref().unwrap());
        delete = delete.entries(entry.build().unwrap());
    }
    assert_eq!(delete.send().await.unwrap().successful.len(), 2);
    assert_eq!(world.sqs.message_count(), 0);
}

#[tokio::test]
async fn the_sdk_knows_the_errors() {
    let world = World::new().await;
    let client = client(&world);
    let url = format!("{}/000000000000/nope", world.sqs.url());
    let error = client.send_message().queue_url(&url).message_body("m").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_queue_does_not_exist());

    let url = world.queue("q", serde_json::json!({})).await;
    let error = client.delete_message().queue_url(&url).receipt_handle("garbage").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_receipt_handle_is_invalid());
    let error = client.send_message().queue_url(&url).message_body("m").delay_seconds(901).send().await.unwrap_err();
    assert_eq!(error.as_service_error().unwrap().code(), Some("InvalidParameterValue"));

    world.sqs.faults().set(SqsFaults { throttle: 1.0, ..SqsFaults::default() });
    let error = client.send_message().queue_url(&url).message_body("m").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_request_throttled());
}
