//! Requests whose headers ask for what no handler serves: another protocol version, a compressed body, another media type.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use ojs_model::{Error, ErrorCode};

use super::OJS_VERSION;
use crate::reply::{JSON, MEDIA_TYPE};

/// What some clients ask for: any version that is compatible with 1.0.
const MAJOR_VERSION: &str = "1";

/// Checks the headers of a request.
pub(super) fn check(request: &Request) -> Result<(), Error> {
    version(request.headers())?;
    encoding(request)?;
    content_type(request)
}

fn version(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get("ojs-version") {
        Some(asked) if asked != OJS_VERSION && asked != MAJOR_VERSION && !asked.as_bytes().starts_with(b"1.0.") => {
            let asked = String::from_utf8_lossy(asked.as_bytes()).into_owned();
            Err(Error::new(
                ErrorCode::Unsupported,
                format!("OJS version '{asked}' is not supported; use '{OJS_VERSION}'."),
            )
            .with("supported", OJS_VERSION))
        }
        _ => Ok(()),
    }
}

/// Bodies are not compressed: the limit is for what is read, and a client that is told so can send them plain.
fn encoding(request: &Request) -> Result<(), Error> {
    let given = request.headers().get_all(header::CONTENT_ENCODING);
    let refused = given
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase())
        .find(|value| !value.is_empty() && value != "identity");
    match refused {
        Some(encoding) if has_body(request) => Err(Error::new(
            ErrorCode::UnsupportedMediaType,
            format!("Content-Encoding '{encoding}' is not supported; send the body without compression."),
        )
        .with("field", "Content-Encoding")
        .with("supported", "identity")),
        _ => Ok(()),
    }
}

/// Whether there is a body that a handler may read.
fn has_body(request: &Request) -> bool {
    !axum::body::HttpBody::is_end_stream(request.body())
        && !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Bodies are OJS JSON or plain JSON; parameters such as a charset do not matter (HTTP binding section 4.1).
fn content_type(request: &Request) -> Result<(), Error> {
    let Some(given) = request.headers().get(header::CONTENT_TYPE) else { return Ok(()) };
    // Clients name a type even where they send no body.
    if !has_body(request) {
        return Ok(());
    }
    let given = String::from_utf8_lossy(given.as_bytes());
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == MEDIA_TYPE || essence == JSON {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::InvalidRequest,
        format!("Content-Type '{essence}' is not supported; use '{MEDIA_TYPE}' or 'application/json'."),
    )
    .with("field", "Content-Type"))
}
