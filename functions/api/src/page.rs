//! Pages: `limit` and an opaque cursor (HTTP binding section 17).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ojs_core::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::query::Params;

/// Entries of a page unless the client says.
const DEFAULT_LIMIT: usize = 50;
/// Most entries of a page.
const MAX_LIMIT: usize = 200;

/// The `limit` of a request.
pub(crate) fn limit(params: &Params) -> Result<usize, Error> {
    Ok(params.integer("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT))
}

/// A cursor of list `kind` that remembers `place`.
pub(crate) fn cursor(kind: &str, place: &impl Serialize) -> Option<String> {
    serde_json::to_vec(&(kind, place)).ok().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// The place that a request's `cursor` remembers.
pub(crate) fn place<T: DeserializeOwned>(kind: &str, params: &Params) -> Result<Option<T>, Error> {
    let Some(text) = params.text("cursor") else { return Ok(None) };
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (of, place): (String, T) = serde_json::from_slice(&bytes).ok()?;
        (of == kind).then_some(place)
    };
    read().map(Some).ok_or_else(|| Error::field("cursor", "is not a cursor that this list has answered"))
}

/// The `pagination` of an answer.
pub(crate) fn pagination(limit: usize, next_cursor: Option<String>) -> Value {
    let mut page = json!({"limit": limit, "has_more": next_cursor.is_some()});
    if let Some(cursor) = next_cursor {
        page["next_cursor"] = Value::String(cursor);
    }
    page
}
