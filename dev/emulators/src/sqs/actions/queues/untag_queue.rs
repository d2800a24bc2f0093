//! UntagQueue.

use serde::Deserialize;

use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{empty_answer, parse};
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: Option<String>,
    tag_keys: Option<Vec<String>>,
}

/// Removes tags; those that are not there are no error.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let keys = request.tag_keys.filter(|keys| !keys.is_empty()).ok_or_else(|| SqsError::missing("TagKeys"))?;
    let mut tags = queue.tags();
    for key in keys {
        tags.remove(&key);
    }
    empty_answer()
}
