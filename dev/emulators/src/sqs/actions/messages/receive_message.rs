//! ReceiveMessage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sqs::counters::add;
use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{answer, empty_answer, in_range, parse};
use crate::sqs::long_poll::{ReceiveOrder, receive};
use crate::sqs::message::attributes::{AttributeFilter, WireAttribute};
use crate::sqs::message::delivery::Delivered;
use crate::sqs::message::md5::md5_of_attributes;
use crate::sqs::message::system_attributes::SystemAttributes;
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: Option<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    /// The older name of `MessageSystemAttributeNames`.
    attribute_names: Option<Vec<String>>,
    message_system_attribute_names: Option<Vec<String>>,
    message_attribute_names: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    messages: Vec<WireMessage>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireMessage {
    message_id: String,
    receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: String,
    body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_attributes: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<String, WireAttribute>,
}

/// Receives up to ten messages, waiting for the first one if asked.
pub(crate) async fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let settings = queue.settings();
    let limit = in_range(request.max_number_of_messages, "MaxNumberOfMessages", 1..=10)?.unwrap_or(1);
    let visibility_s =
        in_range(request.visibility_timeout, "VisibilityTimeout", 0..=43_200)?.unwrap_or(settings.visibility_timeout_s);
    let wait_s = in_range(request.wait_time_seconds, "WaitTimeSeconds", 0..=20)?.unwrap_or(settings.receive_wait_s);
    let mut wanted = request.attribute_names.unwrap_or_default();
    wanted.extend(request.message_system_attribute_names.unwrap_or_default());
    let wanted = SystemAttributes::parse(&wanted)?;
    let filter = AttributeFilter::new(request.message_attribute_names.unwrap_or_default());

    let order = ReceiveOrder {
        limit: usize::try_from(limit).unwrap_or(1),
        visibility_ms: visibility_s * 1_000,
        wait_ms: wait_s * 1_000,
    };
    let delivered = receive(service, &queue, order).await?;
    if delivered.is_empty() {
        add(&service.counters.empty_receives, 1);
        return empty_answer();
    }
    add(&service.counters.messages_received, delivered.len());
    let sender_id = service.account_id.as_str();
    let messages = delivered.iter().map(|one| render(one, wanted, &filter, settings.fifo, sender_id)).collect();
    answer(&Answer { messages })
}

fn render(
    delivered: &Delivered,
    wanted: SystemAttributes,
    filter: &AttributeFilter,
    fifo: bool,
    sender_id: &str,
) -> WireMessage {
    let message = &delivered.message;
    let chosen: Vec<_> = message.attributes.iter().filter(|attribute| filter.wants(&attribute.name)).collect();
    WireMessage {
        message_id: message.id.clone(),
        receipt_handle: delivered.handle.encode(),
        md5_of_body: message.body_md5.clone(),
        body: message.body.clone(),
        attributes: wanted.render(delivered, fifo, sender_id),
        // Of what is answered, which is what SDKs can verify.
        md5_of_attributes: md5_of_attributes(chosen.iter().copied()),
        message_attributes: chosen
            .into_iter()
            .map(|attribute| (attribute.name.clone(), WireAttribute::from(attribute)))
            .collect(),
    }
}
