//! The `Idempotency-Key` of a request (bulk operations section 10).

use axum::http::HeaderMap;
use ojs_model::Error;
use ojs_model::bulk::IdempotencyKey;

/// Names a request, so that the client can send it again.
const KEY: &str = "Idempotency-Key";

/// The idempotency key of a request.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Error> {
    let Some(given) = headers.get(KEY) else { return Ok(None) };
    let text = std::str::from_utf8(given.as_bytes()).map_err(|_| Error::field(KEY, "is not UTF-8"))?;
    IdempotencyKey::parse(KEY, text.to_owned()).map(Some)
}
