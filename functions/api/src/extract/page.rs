//! Pages: `limit` and an opaque cursor (HTTP binding section 17).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ojs_model::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Params;

/// Entries of a page unless the client says.
const DEFAULT_LIMIT: usize = 50;
/// Most entries of a page.
const MAX_LIMIT: usize = 200;

/// The `limit` of a request.
pub(crate) fn limit(params: &Params) -> Result<usize, Error> {
    Ok(params.integer("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT))
}

/// Where a request's page starts.
pub(crate) struct Start<T> {
    /// The place that its `cursor` remembers.
    pub(crate) place: Option<T>,
    /// Entries of the pages before, or those that its `offset` passes over.
    pub(crate) seen: usize,
}

/// Reads the `cursor` of a request for list `kind`.
pub(crate) fn start<T: DeserializeOwned>(kind: &str, params: &Params) -> Result<Start<T>, Error> {
    let Some(text) = params.text("cursor") else { return Ok(Start { place: None, seen: 0 }) };
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (of, place, seen): (String, T, usize) = serde_json::from_slice(&bytes).ok()?;
        (of == kind).then_some(Start { place: Some(place), seen })
    };
    read().ok_or_else(|| Error::field("cursor", "is not a cursor that this list has answered"))
}

/// The `pagination` of an answer with `shown` entries after `seen` others; `next`: the place after which more may follow.
///
/// To count a list is to read it, so `total` is what has been seen so far, and one more where there is more:
/// exact on the last page.
pub(crate) fn pagination(
    kind: &str,
    limit: usize,
    seen: usize,
    shown: usize,
    next: Option<&(impl Serialize + ?Sized)>,
) -> Value {
    let so_far = seen.saturating_add(shown);
    let cursor = next
        .and_then(|place| serde_json::to_vec(&(kind, place, so_far)).ok())
        .map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
    let more = cursor.is_some();
    // An offset may have passed over more than there is.
    let is_exact = !more && (shown > 0 || seen == 0);
    let mut page = json!({
        "limit": limit, "has_more": more, "total": so_far.saturating_add(usize::from(more)), "total_is_exact": is_exact,
    });
    if let Some(cursor) = cursor {
        page["next_cursor"] = Value::String(cursor);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_lower_bounds_until_the_last_page() {
        for (seen, shown, next, total, is_exact) in [
            (0, 0, None, 0, true),
            (0, 3, None, 3, true),
            (0, 3, Some("c"), 4, false),
            (3, 3, Some("f"), 7, false),
            (6, 1, None, 7, true),
            (7, 0, None, 7, false),
            (usize::MAX, 1, Some("x"), usize::MAX, false),
        ] {
            let page = pagination("k", 3, seen, shown, next);
            assert_eq!((&page["total"], &page["total_is_exact"]), (&json!(total), &json!(is_exact)), "{page}");
            assert_eq!((page["has_more"] == true, page["next_cursor"].is_string()), (next.is_some(), next.is_some()));
        }
    }
}
