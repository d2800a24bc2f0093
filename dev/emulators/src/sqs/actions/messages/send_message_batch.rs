//! SendMessageBatch.

use serde::Deserialize;

use crate::sqs::counters::add;
use crate::sqs::http::batch::{BatchAnswer, check_entries};
use crate::sqs::http::errors::{ErrorKind, SqsError};
use crate::sqs::http::protocol::{answer, parse};
use crate::sqs::message::contents::MAX_MESSAGE_BYTES;
use crate::sqs::message::outgoing::SendFields;
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: Option<String>,
    entries: Option<Vec<SendFields>>,
}

/// Sends up to ten messages; each is taken or refused by itself.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let entries = check_entries(request.entries, |entry| entry.id.take())?;
    let total_bytes: usize = entries.iter().map(|(_, entry)| entry.size_bytes()).sum();
    if total_bytes > MAX_MESSAGE_BYTES {
        return Err(SqsError::new(
            ErrorKind::BatchRequestTooLong,
            format!(
                "Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. You have sent {total_bytes} bytes."
            ),
        ));
    }
    let settings = queue.settings();
    let now_ms = service.now_ms();
    let mut results = BatchAnswer::default();
    for (id, entry) in entries {
        results.try_entry(&service.faults, id, || entry.check(&settings).map(|outgoing| outgoing.send(&queue, now_ms)));
    }
    add(&service.counters.messages_sent, results.succeeded());
    answer(&results)
}
