//! ListMessageMoveTasks.

use serde::{Deserialize, Serialize};

use crate::sqs::http::errors::{ErrorKind, SqsError};
use crate::sqs::http::protocol::{answer, in_range, parse, required};
use crate::sqs::queue::move_task::{MoveTask, Status};
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    source_arn: Option<String>,
    max_results: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    results: Vec<WireTask>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireTask {
    /// Of running tasks only: it serves to cancel them.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_handle: Option<String>,
    status: &'static str,
    source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_number_of_messages_per_second: Option<usize>,
    approximate_number_of_messages_moved: u64,
    approximate_number_of_messages_to_move: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'static str>,
    /// Milliseconds since the Unix epoch.
    started_timestamp: i64,
}

/// Lists the latest move tasks of a dead-letter queue.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let source_arn = required(request.source_arn, "SourceArn")?;
    let limit = in_range(request.max_results, "MaxResults", 1..=10)?.unwrap_or(1);
    if service.by_arn(&source_arn).is_none() {
        let message = "The resource that you specified for the SourceArn parameter doesn't exist.";
        return Err(SqsError::new(ErrorKind::ResourceNotFound, message));
    }
    let tasks = service.move_tasks.latest(&source_arn, usize::try_from(limit).unwrap_or(1));
    answer(&Answer { results: tasks.iter().map(|task| render(task)).collect() })
}

fn render(task: &MoveTask) -> WireTask {
    let status = task.status();
    WireTask {
        task_handle: (status == Status::Running).then(|| task.handle.clone()),
        status: status.name(),
        source_arn: task.source_arn.clone(),
        destination_arn: task.destination_arn.clone(),
        max_number_of_messages_per_second: task.max_per_second,
        approximate_number_of_messages_moved: task.moved(),
        approximate_number_of_messages_to_move: task.to_move,
        failure_reason: (status == Status::Failed).then_some("CouldNotDetermineMessageSource"),
        started_timestamp: task.started_ms,
    }
}
