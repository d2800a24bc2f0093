use serde::Serialize;

use super::limits::{Limits, Window};
use super::state::LimitState;
use crate::time::format_ms;

/// The state of a key on the wire (rate limiting section 10.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_count_is_exact: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<Concurrency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle: Option<Throttle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_until: Option<String>,
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    over: Option<ShownOverride>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Concurrency {
    limit: u32,
    active: usize,
    available: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Rate {
    #[serde(flatten)]
    window: Window,
    current_count: u32,
    /// Missing while no window is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    window_resets_at: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Throttle {
    #[serde(flatten)]
    window: Window,
    next_allowed_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ShownOverride {
    #[serde(flatten)]
    limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl LimitState {
    /// The JSON that is shown of it at `now_ms` (ms since the Unix epoch): the limits last applied, with the override.
    ///
    /// Active are all that hold a slot, also those that are believed no longer, as their slots are not free yet.
    #[must_use]
    pub fn shown<'a>(&self, key: &'a str, now_ms: i64) -> Shown<'a> {
        let limits = self.effective(&self.limits, now_ms);
        let active = self.holders.len();
        Shown {
            key,
            waiting_count: None,
            waiting_count_is_exact: None,
            concurrency: limits.concurrency.map(|limit| Concurrency {
                limit,
                active,
                available: usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(active),
            }),
            rate: limits.rate.map(|window| {
                let end = self.window_end(window, now_ms);
                Rate {
                    window,
                    current_count: if end.is_some() { self.window_count } else { 0 },
                    window_resets_at: end.map(format_ms),
                }
            }),
            throttle: limits.throttle.map(|window| Throttle {
                window,
                next_allowed_at: format_ms(self.throttle_end(window, now_ms).unwrap_or(now_ms)),
            }),
            blocked_until: self.blocked(now_ms).map(format_ms),
            over: self
                .applied_override(now_ms)
                .map(|over| ShownOverride { limits: over.limits, expires_at: over.expires_at.map(format_ms) }),
        }
    }
}

impl Shown<'_> {
    /// The same with how many jobs wait without messages; there are more where `is_exact` is false.
    #[must_use]
    pub fn with_waiting(self, count: usize, is_exact: bool) -> Self {
        Self { waiting_count: Some(count), waiting_count_is_exact: (!is_exact).then_some(false), ..self }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::limit::state::Override;

    /// 2026-02-13T12:00:00Z
    const NOW: i64 = 1_770_984_000_000;

    fn shown(state: &LimitState, after: i64) -> String {
        serde_json::to_string(&state.shown("stripe-api", NOW + after)).unwrap()
    }

    #[test]
    fn a_state_is_shown_as_the_specification_does() {
        let limits = Limits {
            concurrency: Some(5),
            rate: Some(Window { limit: 100, period_ms: 60_000 }),
            throttle: Some(Window { limit: 10, period_ms: 1_000 }),
        };
        let state = LimitState::default().start(&limits, "a", NOW + 9, NOW).unwrap();
        assert_eq!(
            shown(&state, 0),
            r#"{"key":"stripe-api","concurrency":{"limit":5,"active":1,"available":4},"#.to_owned()
                + r#""rate":{"limit":100,"period":"PT1M","current_count":1,"window_resets_at":"2026-02-13T12:01:00.000Z"},"#
                + r#""throttle":{"limit":10,"period":"PT1S","next_allowed_at":"2026-02-13T12:00:00.100Z"}}"#
        );
        assert_eq!(
            shown(&state, 60_000),
            r#"{"key":"stripe-api","concurrency":{"limit":5,"active":1,"available":4},"#.to_owned()
                + r#""rate":{"limit":100,"period":"PT1M","current_count":0},"#
                + r#""throttle":{"limit":10,"period":"PT1S","next_allowed_at":"2026-02-13T12:01:00.000Z"}}"#
        );
    }

    #[test]
    fn blocks_and_overrides_are_shown_while_they_last() {
        let closed = Limits { concurrency: Some(0), ..Limits::default() };
        let five = Limits { concurrency: Some(5), ..Limits::default() };
        let state = LimitState::default().start(&five, "a", NOW, NOW).unwrap();
        let state = state.block_until(NOW + 5_000, NOW);
        let state = state.with_override(Some(Override { limits: closed, expires_at: Some(NOW + 1_000) }));
        for (after, wanted) in [
            (
                0,
                r#"{"key":"stripe-api","concurrency":{"limit":0,"active":1,"available":0},"blocked_until":"2026-02-13T12:00:05.000Z","override":{"concurrency":0,"expires_at":"2026-02-13T12:00:01.000Z"}}"#,
            ),
            (
                1_000,
                r#"{"key":"stripe-api","concurrency":{"limit":5,"active":1,"available":4},"blocked_until":"2026-02-13T12:00:05.000Z"}"#,
            ),
            (5_000, r#"{"key":"stripe-api","concurrency":{"limit":5,"active":1,"available":4}}"#),
        ] {
            assert_eq!(shown(&state, after), wanted, "{after}");
        }
        let endless = LimitState::default().with_override(Some(Override { limits: closed, expires_at: None }));
        let wanted =
            r#"{"key":"stripe-api","concurrency":{"limit":0,"active":0,"available":0},"override":{"concurrency":0}}"#;
        assert_eq!(shown(&endless, 0), wanted);
        assert_eq!(shown(&LimitState::default(), 0), r#"{"key":"stripe-api"}"#);
        for (exact, wanted) in [
            (true, r#"{"key":"k","waiting_count":3}"#),
            (false, r#"{"key":"k","waiting_count":3,"waiting_count_is_exact":false}"#),
        ] {
            let shown = LimitState::default().shown("k", NOW).with_waiting(3, exact);
            assert_eq!(serde_json::to_string(&shown).unwrap(), wanted);
        }
    }
}
