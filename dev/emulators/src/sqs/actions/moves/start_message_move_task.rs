//! StartMessageMoveTask.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use crate::sqs::http::errors::{ErrorKind, SqsError};
use crate::sqs::http::protocol::{answer, in_range, parse, required};
use crate::sqs::queue::move_task::MoveTask;
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    source_arn: Option<String>,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<i64>,
}

/// Starts moving dead letters back to where they came from, or to another queue.
pub(crate) fn run(service: &Arc<Service>, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let source_arn = required(request.source_arn, "SourceArn")?;
    let rate = in_range(request.max_number_of_messages_per_second, "MaxNumberOfMessagesPerSecond", 1..=500)?;
    let missing = || {
        let message = "The resource that you specified for the SourceArn parameter doesn't exist.";
        SqsError::new(ErrorKind::ResourceNotFound, message)
    };
    let source = service.by_arn(&source_arn).ok_or_else(missing)?;
    if service.dead_letter_sources(&source.identity.arn).is_empty() {
        return Err(SqsError::invalid_parameter("Source queue must be configured as a Dead Letter Queue."));
    }
    if let Some(arn) = &request.destination_arn {
        let target = service.by_arn(arn).ok_or_else(|| {
            let message = "The resource that you specified for the DestinationArn parameter doesn't exist.";
            SqsError::new(ErrorKind::ResourceNotFound, message)
        })?;
        if target.settings().fifo != source.settings().fifo {
            return Err(SqsError::invalid_parameter("Source and destination queues must be of the same type."));
        }
    }
    let rate = rate.and_then(|rate| usize::try_from(rate).ok());
    let task = Arc::new(MoveTask::new(&source, request.destination_arn, rate, service.now_ms()));
    service.move_tasks.add(Arc::clone(&task))?;
    let handle = task.handle.clone();
    let service = Arc::clone(service);
    tokio::spawn(async move { task.run(&service, &source).await });
    answer(&json!({"TaskHandle": handle}))
}
