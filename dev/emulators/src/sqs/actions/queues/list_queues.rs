//! ListQueues.

use serde::Deserialize;

use crate::sqs::http::errors::SqsError;
use crate::sqs::http::paging::{MAX_PAGE, Page, page_size, read_token};
use crate::sqs::http::protocol::{answer, parse};
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_name_prefix: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Lists queues by name.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let prefix = request.queue_name_prefix.unwrap_or_default();
    let size = page_size(request.max_results)?;
    let after = read_token(request.next_token.as_deref())?;
    let limit = size.unwrap_or(MAX_PAGE);
    // One more than asked for tells whether there is a next page.
    let found = service.list(&prefix, after.as_deref(), limit + 1);
    let page = Page::new(&found, limit, size.is_some());
    answer(&page.render("QueueUrls"))
}
