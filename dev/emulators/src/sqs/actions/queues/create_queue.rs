//! CreateQueue.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::sqs::http::errors::{ErrorKind, SqsError};
use crate::sqs::http::protocol::{answer, parse, required};
use crate::sqs::queue::names::check_new_queue_name;
use crate::sqs::queue::settings::Settings;
use crate::sqs::queue::tags::check_tags;
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_name: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
    /// The one field of the API that starts in lower case.
    #[serde(rename = "tags", alias = "Tags")]
    tags: Option<BTreeMap<String, String>>,
}

/// Creates a queue; the same name with the same attributes is no error.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let name = required(request.queue_name, "QueueName")?;
    let attributes = request.attributes.unwrap_or_default();
    let settings = Settings::default().with(&attributes)?;
    check_new_queue_name(&name, settings.fifo)?;
    let tags = request.tags.unwrap_or_default();
    check_tags(&BTreeMap::new(), &tags)?;
    service.check_redrive(&name, &settings)?;

    let (queue, existed) = service.create(&name, settings)?;
    if existed {
        let existing = queue.settings();
        // Only what the request names is compared.
        if existing.with(&attributes).ok().as_ref() != Some(&*existing) {
            return Err(SqsError::new(
                ErrorKind::QueueNameExists,
                "A queue already exists with the same name and a different value for attribute(s)",
            ));
        }
    } else {
        queue.tags().extend(tags);
        tracing::info!(queue = %name, "queue created");
    }
    answer(&json!({"QueueUrl": queue.identity.url}))
}
