//! Times, in ms since the Unix epoch.

use std::time::SystemTime;

use serde_json::Value;

/// Now.
pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Reads an RFC 3339 time; `None` where there is none.
pub(crate) fn ms_of(text: &Value) -> Option<i64> {
    text.as_str()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_in_ms() {
        assert_eq!(ms_of(&json!("1970-01-01T00:00:01.250Z")), Some(1_250));
        assert_eq!((ms_of(&json!(null)), ms_of(&json!("x"))), (None, None));
    }
}
