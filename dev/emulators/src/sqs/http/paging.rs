//! Pages of queues.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value};

use super::errors::SqsError;
use super::protocol::in_range;
use crate::sqs::queue::Queue;

/// The most queues in a page.
pub(crate) const MAX_PAGE: usize = 1_000;

/// A page of queues.
#[derive(Debug)]
pub(crate) struct Page {
    urls: Vec<String>,
    next: Option<String>,
}

impl Page {
    /// The first `limit` of the queues found. As on AWS, there is a next page only when the
    /// request asked for a size.
    pub(crate) fn new(found: &[Arc<Queue>], limit: usize, paged: bool) -> Self {
        let shown = &found[..found.len().min(limit)];
        let more = paged && found.len() > limit;
        Self {
            urls: shown.iter().map(|queue| queue.identity.url.clone()).collect(),
            next: shown.last().filter(|_| more).map(|queue| BASE64.encode(&queue.identity.name)),
        }
    }

    /// The answer, with the queues under `key`; AWS leaves out empty lists.
    pub(crate) fn render(self, key: &str) -> Value {
        let mut answer = Map::new();
        if !self.urls.is_empty() {
            answer.insert(key.to_owned(), self.urls.into());
        }
        if let Some(next) = self.next {
            answer.insert("NextToken".to_owned(), next.into());
        }
        Value::Object(answer)
    }
}

/// `MaxResults`, when it was given.
pub(crate) fn page_size(max_results: Option<i64>) -> Result<Option<usize>, SqsError> {
    let size = in_range(max_results, "MaxResults", 1..=1_000)?;
    Ok(size.and_then(|size| usize::try_from(size).ok()))
}

/// The name of the last queue of the page before.
pub(crate) fn read_token(token: Option<&str>) -> Result<Option<String>, SqsError> {
    let decode = |token: &str| {
        let name = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        name.ok_or_else(|| SqsError::invalid_parameter("Invalid or expired next token."))
    };
    token.map(decode).transpose()
}
