//! ChangeMessageVisibility.

use serde::Deserialize;

use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{empty_answer, in_range, parse, required};
use crate::sqs::message::receipt_handle::ReceiptHandle;
use crate::sqs::queue::Queue;
use crate::sqs::service::Service;

/// The request, and an entry of the batch.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ChangeFields {
    queue_url: Option<String>,
    pub(crate) id: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

/// Changes for how long a message stays hidden.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: ChangeFields = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    change_one(&queue, request, service.now_ms())?;
    empty_answer()
}

/// Also the work of an entry of ChangeMessageVisibilityBatch.
pub(crate) fn change_one(queue: &Queue, fields: ChangeFields, now_ms: i64) -> Result<(), SqsError> {
    let handle = required(fields.receipt_handle, "ReceiptHandle")?;
    let timeout_s = in_range(fields.visibility_timeout, "VisibilityTimeout", 0..=43_200)?
        .ok_or_else(|| SqsError::missing("VisibilityTimeout"))?;
    let handle = ReceiptHandle::decode(&handle, queue.identity.number)?;
    queue.with_and_wake(now_ms, |store| store.change_visibility(now_ms, handle, timeout_s * 1_000))
}
