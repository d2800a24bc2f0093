//! DeleteMessage.

use serde::Deserialize;

use crate::sqs::counters::add;
use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{empty_answer, parse, required};
use crate::sqs::message::receipt_handle::ReceiptHandle;
use crate::sqs::queue::Queue;
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
}

/// Deletes a message.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    delete_one(&queue, request.receipt_handle, service.now_ms())?;
    add(&service.counters.messages_deleted, 1);
    empty_answer()
}

/// Deletes the message of a handle; also the work of an entry of DeleteMessageBatch.
pub(crate) fn delete_one(queue: &Queue, handle: Option<String>, now_ms: i64) -> Result<(), SqsError> {
    let handle = ReceiptHandle::decode(&required(handle, "ReceiptHandle")?, queue.identity.number)?;
    // In a FIFO queue this may free the message's group.
    queue.with_and_wake(now_ms, |store| store.delete(handle))
}
