//! PurgeQueue.

use crate::sqs::actions::QueueOnly;
use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{empty_answer, parse};
use crate::sqs::service::Service;

/// Drops all messages of a queue, at once (AWS takes up to 60 s).
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: QueueOnly = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    queue.purge(service.now_ms())?;
    empty_answer()
}
