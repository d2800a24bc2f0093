//! ChangeMessageVisibilityBatch.

use serde::Deserialize;

use super::change_message_visibility::{ChangeFields, change_one};
use crate::sqs::http::batch::{BatchAnswer, Done, check_entries};
use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{answer, parse};
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: Option<String>,
    entries: Option<Vec<ChangeFields>>,
}

/// Changes up to ten messages, each by itself.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let now_ms = service.now_ms();
    let mut results = BatchAnswer::default();
    for (id, entry) in check_entries(request.entries, |entry| entry.id.take())? {
        results.try_entry(&service.faults, id, || change_one(&queue, entry, now_ms).map(|()| Done {}));
    }
    answer(&results)
}
