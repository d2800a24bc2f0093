//! What went wrong with a job: its error history (OJS errors section 6, retry section 10).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::json::{Fields, Json, check_portable, kind};
use crate::time::parse_rfc3339;

/// Most errors kept in a job's history; the oldest go first. OJS asks for at least 10.
pub const MAX_HISTORY: usize = 100;
/// Longest message kept, bytes of JSON.
const MAX_MESSAGE_BYTES: usize = 4_096;
/// Longest code or type kept, bytes of JSON.
const MAX_NAME_BYTES: usize = 255;
/// Largest details or backtrace kept, bytes of JSON; larger ones are dropped or cut, and `truncated` says so.
const MAX_EXTRA_BYTES: usize = 4_096;
/// Largest entry that can come of those limits, bytes.
pub const MAX_ENTRY_BYTES: usize = 16 * 1_024;

/// One entry of the history, as stored and as shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobError {
    /// Job-level error code, `handler_error` when the worker sent none.
    pub code: String,
    /// The error's class.
    #[serde(rename = "type")]
    pub error_type: String,
    /// For people; at most 4,096 bytes.
    pub message: String,
    /// The attempt that failed.
    pub attempt: u32,
    /// RFC 3339, UTC, ms.
    pub occurred_at: String,
    /// What the worker said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// `execution` for a job that ran out of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_kind: Option<String>,
    /// The limit that was passed, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_seconds: Option<f64>,
    /// How long the attempt had run, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_seconds: Option<f64>,
    /// The worker's details object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
    /// The worker's backtrace, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backtrace: Option<Json>,
    /// Set when something was cut to its limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// What a worker reports in a NACK.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Job-level error code.
    pub code: String,
    /// The error's class: `type`, else `details.error_class`, else the code.
    pub error_type: String,
    /// `details.error_class`, which policies match too.
    pub error_class: Option<String>,
    /// For people.
    pub message: String,
    /// Whether the worker thinks a retry can help.
    pub retryable: Option<bool>,
    /// Context, a JSON object.
    pub details: Option<Json>,
    /// Where it happened.
    pub backtrace: Option<Json>,
    /// Until when nothing of the job's rate limit may start, ms since the Unix epoch (rate limiting section 9.1).
    pub rate_limit_until: Option<i64>,
    /// Set when something was cut to its limit.
    pub truncated: bool,
}

impl Failure {
    /// Reads `error` of a NACK.
    ///
    /// # Errors
    /// `invalid_request` when it is no object, says nothing at all, or a field has the wrong type.
    pub fn parse(value: &Json) -> Result<Self> {
        let mut fields = Fields::from_member("error", value)?;
        let code = fields.take_string("code")?;
        let error_type = fields.take_string("type")?;
        let message = fields.take_string("message")?;
        let retryable = fields.take_bool("retryable")?;
        let details = fields.take_kind("details", "object")?;
        let backtrace = fields.take("backtrace").or_else(|| fields.take("stacktrace"));
        if code.is_none() && error_type.is_none() && message.is_none() {
            return Err(Error::field("error", "must have a 'code', a 'type' or a 'message'"));
        }
        if let Some(b) = &backtrace
            && !matches!(kind(b.get()), "array" | "string")
        {
            return Err(Error::field("error.backtrace", "must be an array of strings or a string"));
        }
        let error_class = match &details {
            Some(d) => Fields::from_member("error.details", d)?
                .take("error_class")
                .and_then(|c| serde_json::from_str::<String>(c.get()).ok()),
            None => None,
        };
        for (field, value) in [("error.details", &details), ("error.backtrace", &backtrace)] {
            if let Some(value) = value {
                check_portable(field, value)?;
            }
        }
        let rate_limit_until = match fields.take_string("rate_limit_until")? {
            Some(text) => Some(parse_rfc3339(&text).ok_or_else(|| {
                Error::field("error.rate_limit_until", "must be a time such as '2026-02-13T12:05:00Z'")
            })?),
            None => None,
        };
        let mut truncated = false;
        let code = cut(code.unwrap_or_else(|| "handler_error".to_owned()), MAX_NAME_BYTES, &mut truncated);
        let error_type = cut(
            error_type.or_else(|| error_class.clone()).unwrap_or_else(|| code.clone()),
            MAX_NAME_BYTES,
            &mut truncated,
        );
        let message = cut(message.unwrap_or_default(), MAX_MESSAGE_BYTES, &mut truncated);
        // A worker must be able to report a failure whatever the size of its stack trace.
        let details = details.filter(|d| fits(d, &mut truncated));
        let backtrace = backtrace.and_then(|b| shorten(b, &mut truncated));
        Ok(Self { code, error_type, error_class, message, retryable, details, backtrace, rate_limit_until, truncated })
    }

    /// The names that `non_retryable_errors` is matched against.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.error_type.as_str(), self.code.as_str()];
        names.extend(self.error_class.as_deref());
        names
    }
}

fn fits(value: &Json, truncated: &mut bool) -> bool {
    let fits = value.get().len() <= MAX_EXTRA_BYTES;
    *truncated |= !fits;
    fits
}

/// Keeps the first frames of a backtrace that fit.
fn shorten(backtrace: Json, truncated: &mut bool) -> Option<Json> {
    if fits(&backtrace, truncated) {
        return Some(backtrace);
    }
    if let Ok(text) = serde_json::from_str::<String>(backtrace.get()) {
        return serde_json::value::to_raw_value(&cut(text, MAX_EXTRA_BYTES, truncated)).ok();
    }
    let frames: Vec<Json> = serde_json::from_str(backtrace.get()).ok()?;
    let mut room = MAX_EXTRA_BYTES;
    let kept: Vec<Json> = frames
        .into_iter()
        .take_while(|frame| {
            let size = frame.get().len() + 1;
            room = room.saturating_sub(size);
            room > 0
        })
        .collect();
    serde_json::value::to_raw_value(&kept).ok()
}

/// Cuts a text so that its JSON has at most `max_bytes`, quotes aside.
fn cut(mut text: String, max_bytes: usize, truncated: &mut bool) -> String {
    let mut room = max_bytes;
    let end = text.char_indices().find_map(|(at, c)| {
        let size = match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            c if (c as u32) < 0x20 => 6,
            c => c.len_utf8(),
        };
        let fits = size <= room;
        room = room.saturating_sub(size);
        (!fits).then_some(at)
    });
    if let Some(end) = end {
        text.truncate(end);
        *truncated = true;
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::json::raw;

    fn parse(text: &str) -> Result<Failure> {
        Failure::parse(&raw(text).unwrap())
    }

    #[test]
    fn the_type_is_derived() {
        let table = [
            (r#"{"code":"c","type":"t","details":{"error_class":"k"}}"#, "t"),
            (r#"{"code":"c","details":{"error_class":"k"}}"#, "k"),
            (r#"{"code":"c"}"#, "c"),
            (r#"{"message":"m"}"#, "handler_error"),
        ];
        for (text, wanted) in table {
            assert_eq!(parse(text).unwrap().error_type, wanted, "{text}");
        }
    }

    #[test]
    fn bad_errors_are_named() {
        for bad in [
            "{}",
            "[]",
            r#""x""#,
            r#"{"code":1}"#,
            r#"{"message":"m","retryable":"no"}"#,
            r#"{"message":"m","details":[]}"#,
            r#"{"message":"m","backtrace":5}"#,
        ] {
            assert_eq!(parse(bad).unwrap_err().code.as_str(), "invalid_request", "{bad}");
        }
    }

    #[test]
    fn large_reports_are_cut_not_refused() {
        let frames: Vec<String> = (0..10_000).map(|i| format!("frame é {i}")).collect();
        let text = serde_json::json!({
            "code": "c".repeat(9_999), "message": "é".repeat(99_999), "backtrace": frames,
            "details": {"blob": "x".repeat(99_999)},
        });
        let failure = parse(&text.to_string()).unwrap();
        assert!(failure.truncated && failure.details.is_none());
        assert!(failure.message.len() <= MAX_MESSAGE_BYTES);
        let kept: Vec<String> = serde_json::from_str(failure.backtrace.unwrap().get()).unwrap();
        assert!(kept.len() > 100 && kept[0] == "frame é 0");
        let text = serde_json::json!({"message": "m", "backtrace": "\n".repeat(99_999)});
        assert!(parse(&text.to_string()).unwrap().backtrace.unwrap().get().len() <= MAX_EXTRA_BYTES + 2);
        let text = serde_json::json!({"message": "\u{1}".repeat(9_999)});
        let message = parse(&text.to_string()).unwrap().message;
        assert!(serde_json::to_string(&message).unwrap().len() <= MAX_MESSAGE_BYTES + 2 && message.len() > 600);
    }
}
