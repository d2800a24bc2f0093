//! DeleteMessageBatch.

use serde::Deserialize;

use super::delete_message::delete_one;
use crate::sqs::counters::add;
use crate::sqs::http::batch::{BatchAnswer, Done, check_entries};
use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{answer, parse};
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: Option<String>,
    entries: Option<Vec<Entry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Entry {
    id: Option<String>,
    receipt_handle: Option<String>,
}

/// Deletes up to ten messages, each by itself.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let now_ms = service.now_ms();
    let mut results = BatchAnswer::default();
    for (id, entry) in check_entries(request.entries, |entry| entry.id.take())? {
        results.try_entry(&service.faults, id, || delete_one(&queue, entry.receipt_handle, now_ms).map(|()| Done {}));
    }
    add(&service.counters.messages_deleted, results.succeeded());
    answer(&results)
}
