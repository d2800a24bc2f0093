//! TagQueue.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{empty_answer, parse};
use crate::sqs::queue::tags::check_tags;
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

/// Adds tags, or replaces their values.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let tags = request.tags.filter(|tags| !tags.is_empty()).ok_or_else(|| SqsError::missing("Tags"))?;
    let mut known = queue.tags();
    check_tags(&known, &tags)?;
    known.extend(tags);
    empty_answer()
}
