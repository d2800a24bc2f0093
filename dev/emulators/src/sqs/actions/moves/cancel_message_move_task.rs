//! CancelMessageMoveTask.

use serde::Deserialize;
use serde_json::json;

use crate::sqs::http::errors::{ErrorKind, SqsError};
use crate::sqs::http::protocol::{answer, parse, required};
use crate::sqs::queue::move_task::Status;
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    task_handle: Option<String>,
}

/// Stops a move task; what it moved stays moved.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let handle = required(request.task_handle, "TaskHandle")?;
    let task = service
        .move_tasks
        .by_handle(&handle)
        .ok_or_else(|| SqsError::new(ErrorKind::ResourceNotFound, "Task does not exist."))?;
    if !task.finish(Status::Cancelled) {
        let message = "Only active tasks can be cancelled.";
        return Err(SqsError::new(ErrorKind::UnsupportedOperation, message));
    }
    answer(&json!({"ApproximateNumberOfMessagesMoved": task.moved()}))
}
