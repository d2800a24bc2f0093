//! GetQueueUrl.

use serde::Deserialize;
use serde_json::json;

use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{answer, parse, required};
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_name: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

/// Finds a queue's URL by its name.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let name = required(request.queue_name, "QueueName")?;
    if request.owner.is_some_and(|owner| owner != service.account_id) {
        return Err(SqsError::queue_does_not_exist());
    }
    let queue = service.by_name(&name).ok_or_else(SqsError::queue_does_not_exist)?;
    answer(&json!({"QueueUrl": queue.identity.url}))
}
