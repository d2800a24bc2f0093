//! GetQueueAttributes.

use serde::Deserialize;
use serde_json::json;

use crate::sqs::http::errors::{ErrorKind, SqsError};
use crate::sqs::http::protocol::{answer, parse};
use crate::sqs::service::Service;

/// The attributes that may be absent from a queue; asking for them is no error.
const OPTIONAL: [&str; 10] = [
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: Option<String>,
    attribute_names: Option<Vec<String>>,
}

/// Answers settings and message counts.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let wanted = request.attribute_names.unwrap_or_default();
    let depth = queue.reported_depth(service.now_ms());

    let mut all = queue.settings().render();
    all.insert("QueueArn", queue.identity.arn.to_string());
    all.insert("CreatedTimestamp", (queue.identity.created_ms / 1_000).to_string());
    all.insert("LastModifiedTimestamp", (queue.modified_ms() / 1_000).to_string());
    all.insert("ApproximateNumberOfMessages", depth.visible.to_string());
    all.insert("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string());
    all.insert("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string());

    if !wanted.iter().any(|name| name == "All") {
        for name in &wanted {
            let name = name.as_str();
            if !all.contains_key(name) && !OPTIONAL.contains(&name) {
                let message = format!("Unknown Attribute {name}.");
                return Err(SqsError::new(ErrorKind::InvalidAttributeName, message));
            }
        }
        all.retain(|name, _| wanted.iter().any(|wanted| wanted == name));
    }
    answer(&json!({"Attributes": all}))
}
