//! ListQueueTags.

use serde_json::json;

use crate::sqs::actions::QueueOnly;
use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{answer, empty_answer, parse};
use crate::sqs::service::Service;

/// Answers a queue's tags.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: QueueOnly = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let tags = queue.tags();
    if tags.is_empty() { empty_answer() } else { answer(&json!({"Tags": *tags})) }
}
