//! ListDeadLetterSourceQueues.

use serde::Deserialize;

use crate::sqs::http::errors::SqsError;
use crate::sqs::http::paging::{MAX_PAGE, Page, page_size, read_token};
use crate::sqs::http::protocol::{answer, parse};
use crate::sqs::service::Service;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    queue_url: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Lists the queues whose failed messages go to this one.
pub(crate) fn run(service: &Service, body: &[u8]) -> Result<Vec<u8>, SqsError> {
    let request: Request = parse(body)?;
    let queue = service.by_url(request.queue_url.as_deref())?;
    let size = page_size(request.max_results)?;
    let after = read_token(request.next_token.as_deref())?;
    let mut sources = service.dead_letter_sources(&queue.identity.arn);
    if let Some(after) = after {
        sources.retain(|source| source.identity.name > after);
    }
    let page = Page::new(&sources, size.unwrap_or(MAX_PAGE), size.is_some());
    // Lower case in this action only.
    answer(&page.render("queueUrls"))
}
