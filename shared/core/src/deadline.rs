//! When a request must be answered (invariant I8).
//!
//! The API makes one [`Deadline`] per request and runs the request in its scope. Operations that make many AWS calls
//! read it and stop in time; the clients cut the time-outs of their calls to what is left. Outside a scope, in the
//! ticks for instance, there is no deadline.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;

/// AWS calls may run on for this long after the deadline, ms: what a request has begun, it undoes or ends then. Later ones
/// are not sent.
pub const GRACE_MS: i64 = 500;

tokio::task_local! {
    static SCOPE: (Deadline, Arc<dyn Clock>);
}

/// When a request must be answered, if it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deadline(Option<i64>);

impl Deadline {
    /// No deadline.
    pub const NONE: Self = Self(None);

    /// A deadline at this time, ms since the Unix epoch.
    #[must_use]
    pub fn at(at_ms: i64) -> Self {
        Self(Some(at_ms))
    }

    /// The deadline of a request that came at `now_ms`: `margin_ms` before it has taken `timeout_ms`, or before the
    /// function is killed at `killed_at_ms` if that is earlier. All in ms, times since the Unix epoch.
    #[must_use]
    pub fn of_request(now_ms: i64, timeout_ms: i64, margin_ms: i64, killed_at_ms: Option<i64>) -> Self {
        let at = now_ms.saturating_add(timeout_ms);
        Self(Some(killed_at_ms.map_or(at, |killed| killed.min(at)).saturating_sub(margin_ms)))
    }

    /// How long is left, ms; 0 once it is over, and [`i64::MAX`] without a deadline.
    #[must_use]
    pub fn left_ms(self, now_ms: i64) -> i64 {
        self.0.map_or(i64::MAX, |at| at.saturating_sub(now_ms).max(0))
    }

    /// Whether the time is up.
    #[must_use]
    pub fn is_over(self, now_ms: i64) -> bool {
        self.left_ms(now_ms) == 0
    }

    /// How long an AWS call that starts now may take, until the end of the grace after the deadline; `None` without a
    /// deadline, and zero when no call is to be sent any more.
    #[must_use]
    fn call_limit(self, now_ms: i64) -> Option<Duration> {
        let at = self.0?;
        let left = at.saturating_add(GRACE_MS).saturating_sub(now_ms).max(0);
        Some(Duration::from_millis(left.unsigned_abs()))
    }

    /// The deadline of the request at work; none outside of one.
    #[must_use]
    pub fn current() -> Self {
        SCOPE.try_with(|(deadline, _)| *deadline).unwrap_or_default()
    }

    /// Runs a request under this deadline, as `clock` counts. A task that the request spawns is not in the scope by itself.
    pub async fn scope<T>(self, clock: Arc<dyn Clock>, request: impl Future<Output = T>) -> T {
        SCOPE.scope((self, clock), request).await
    }
}

/// How long an AWS call that starts now may take; see [`Deadline::call_limit`].
pub(crate) fn call_limit() -> Option<Duration> {
    SCOPE.try_with(|(deadline, clock)| deadline.call_limit(clock.now_ms())).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_a_margin_before_whatever_comes_first() {
        for (killed_at, at) in [(None, 29_000), (Some(20_000), 19_000), (Some(90_000), 29_000), (Some(500), -500)] {
            assert_eq!(Deadline::of_request(1_000, 29_000, 1_000, killed_at), Deadline::at(at), "{killed_at:?}");
        }
    }

    #[test]
    fn what_is_left_never_is_negative() {
        let deadline = Deadline::at(1_000);
        assert_eq!((deadline.left_ms(400), deadline.left_ms(1_000), deadline.left_ms(2_000)), (600, 0, 0));
        assert!(!deadline.is_over(999) && deadline.is_over(1_000));
        assert!(!Deadline::NONE.is_over(i64::MAX - 1));
    }

    #[test]
    fn calls_have_a_little_longer() {
        let limit = |now| Deadline::at(1_000).call_limit(now).map(|limit| limit.as_millis());
        assert_eq!([limit(0), limit(1_000), limit(1_499), limit(1_500)], [1_500, 500, 1, 0].map(Some));
        assert_eq!(Deadline::NONE.call_limit(0), None);
    }
}
