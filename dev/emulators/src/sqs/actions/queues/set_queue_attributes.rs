//! SetQueueAttributes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::sqs::http::errors::SqsError;
use crate::sqs::http::protocol::{empty_answer, parse};
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
}

/// Changes settings, at once (AWS takes up to 60 s).
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let attributes = request.attributes.ok_or_else(|| SqsError::missing("Attributes"))?;
    if attributes.contains_key("RedrivePolicy") {
        service.check_redrive(&queue.identity.name, &queue.settings().with(&attributes)?)?;
    }
    queue.change_settings(service.now_ms(), &attributes)?;
    empty_answer()
}
