//! How long the message of a job rests after an AWS call about the job has failed. Pure.

use ojs_model::error::ErrorCode;

/// Longest rest, s: a job that cannot be read must not keep others back (I7), and an outage may be long.
const MAX_REST_S: i64 = 300;
/// Longest rest where a limit may account for the receives, s.
const MAX_LIMITED_REST_S: i64 = 10;

/// The rest after a failure with `code`, s: as long as the message has been received often.
///
/// A job that waits for a limit is received about once a second, and these receives are no failures. With `has_limit`,
/// a failure that passes by itself (throttling, an outage) therefore costs 10 s at most. An item that cannot be read
/// fails each time, and rests longer and longer whatever limits it has.
pub(in crate::engine) fn rest_s(code: ErrorCode, receives: i64, has_limit: bool) -> i64 {
    let passes = matches!(code, ErrorCode::RateLimited | ErrorCode::BackendUnavailable);
    receives.clamp(1, if has_limit && passes { MAX_LIMITED_REST_S } else { MAX_REST_S })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_throttle_after_a_long_wait_for_a_limit_costs_seconds() {
        for (code, receives, has_limit, wanted) in [
            (ErrorCode::RateLimited, 0, false, 1),
            (ErrorCode::RateLimited, 120, false, 120),
            (ErrorCode::RateLimited, 1_000, false, 300),
            (ErrorCode::RateLimited, 2, true, 2),
            (ErrorCode::RateLimited, 400, true, 10),
            (ErrorCode::BackendUnavailable, 400, true, 10),
            (ErrorCode::InternalError, 400, true, 300),
        ] {
            assert_eq!(rest_s(code, receives, has_limit), wanted, "{code:?} {receives} {has_limit}");
        }
    }
}
