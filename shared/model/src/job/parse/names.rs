//! Names: of job types, queues, and the ids that clients make.

use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::json::{Json, expect};
use crate::time::format_ms;

/// Longest job type, characters.
pub const MAX_TYPE_CHARS: usize = 255;
/// Longest queue name, characters.
pub const MAX_QUEUE_CHARS: usize = 128;
/// How far the time in a client's id may be ahead of the server's clock, ms: clocks differ by seconds, and readers take an id's time
/// for the time at which the job was made.
pub const MAX_ID_AHEAD_MS: i64 = 300_000;

/// Checks a queue name; `field` names it in the error.
///
/// # Errors
/// `invalid_request` unless it matches `^[a-z0-9][a-z0-9\-.]*$` and has at most [`MAX_QUEUE_CHARS`] characters.
pub fn queue_name(field: &str, name: String) -> Result<String> {
    if is_queue_name(&name) {
        return Ok(name);
    }
    Err(Error::field(
        field,
        format_args!(
            "must be lower-case letters, digits, '-' and '.', starting with a letter or digit, at most \
             {MAX_QUEUE_CHARS} characters"
        ),
    ))
}

/// Whether `name` may name a queue (core section 5.2).
#[must_use]
pub fn is_queue_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=MAX_QUEUE_CHARS).contains(&bytes.len())
        && !matches!(bytes[0], b'-' | b'.')
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

/// Whether `name` may name a job type (core section 5.1).
pub(super) fn is_job_type(name: &str) -> bool {
    name.len() <= MAX_TYPE_CHARS
        && name.split('.').all(|segment| {
            segment.starts_with(|c: char| c.is_ascii_lowercase())
                && segment.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
        })
}

/// Reads the id that a client has made.
pub(super) fn client_id(value: &Json, now_ms: i64) -> Result<JobId> {
    expect("id", value, "string")?;
    let text: String = serde_json::from_str(value.get()).unwrap_or_default();
    let id = JobId::parse(&text).ok_or_else(|| Error::field("id", "must be a lower-case UUIDv7"))?;
    if id.made_at_ms() > now_ms.saturating_add(MAX_ID_AHEAD_MS) {
        let minutes = MAX_ID_AHEAD_MS / 60_000;
        return Err(Error::field(
            "id",
            format_args!(
                "has a time more than {minutes} minutes ahead of the server's clock, which says {}",
                format_ms(now_ms)
            ),
        )
        .with("max_ahead_ms", MAX_ID_AHEAD_MS)
        .with("server_time", format_ms(now_ms)));
    }
    Ok(id)
}
