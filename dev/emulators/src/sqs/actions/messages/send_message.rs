//! SendMessage.

use crate::sqs::counters::add;
use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{answer, parse};
use crate::sqs::message::outgoing::SendFields;
use crate::sqs::service::Service;

/// Sends a message.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: SendFields = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let outgoing = request.check(&queue.settings())?;
    let sent = outgoing.send(&queue, service.now_ms());
    add(&service.counters.messages_sent, 1);
    answer(&sent)
}
