//! AWS JSON 1.0: reading requests and writing answers.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::errors::{ErrorKind, SqsError};

/// Reads a request; an empty body counts as `{}`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, SqsError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| SqsError::new(ErrorKind::Serialization, error.to_string()))
}

/// Writes an answer.
pub(crate) fn answer<T: Serialize>(value: &T) -> Result<Vec<u8>, SqsError> {
    serde_json::to_vec(value).map_err(|_| SqsError::internal())
}

/// The answer of actions that have nothing to say.
#[allow(clippy::unnecessary_wraps)] // the same shape as every other action
pub(crate) fn empty_answer() -> Result<Vec<u8>, SqsError> {
    Ok(b"{}".to_vec())
}

/// The body of an error answer.
pub(crate) fn error_body(error: &SqsError) -> Vec<u8> {
    let (_, json_type, _) = error.kind.wire();
    serde_json::json!({"__type": json_type, "message": error.message}).to_string().into_bytes()
}

/// A parameter that must be there and not be empty.
pub(crate) fn required(value: Option<String>, parameter: &str) -> Result<String, SqsError> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| SqsError::missing(parameter))
}

/// An integer parameter with bounds; `None` when it was not given.
pub(crate) fn in_range(
    value: Option<i64>,
    parameter: &str,
    range: std::ops::RangeInclusive<i64>,
) -> Result<Option<i64>, SqsError> {
    match value {
        Some(value) if !range.contains(&value) => Err(SqsError::invalid_value(
            value,
            parameter,
            &format!("Must be between {} and {}, if provided.", range.start(), range.end()),
        )),
        value => Ok(value),
    }
}
