//! DeleteQueue.

use crate::sqs::actions::QueueOnly;
use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{empty_answer, parse};
use crate::sqs::service::Service;

/// Deletes a queue with its messages, at once (AWS takes up to 60 s).
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: QueueOnly = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    service.delete(&queue);
    tracing::info!(queue = %queue.identity.name, "queue deleted");
    empty_answer()
}
