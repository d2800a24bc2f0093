use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::error::{Error, Result};
use crate::json::{Fields, Json};
use crate::time::format_duration;
use crate::time::parse_duration;

/// Highest number that a limit may be.
pub const MAX_LIMIT: u32 = 1_000_000;
/// Most jobs that may be limited to run at once: those that do are listed in one item, a write unit for 20 of them.
pub const MAX_CONCURRENCY: u32 = 1_000;
/// Longest period of a window, ms: 365 days.
pub const MAX_PERIOD_MS: i64 = 365 * 86_400_000;

/// At most `limit` starts in `period_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Starts, 1 to [`MAX_LIMIT`].
    pub limit: u32,
    /// ms, 1 to [`MAX_PERIOD_MS`].
    pub period_ms: i64,
}

impl Window {
    /// The time between two starts that are spread evenly, ms, rounded up (section 5.3).
    #[must_use]
    pub fn interval_ms(self) -> i64 {
        let limit = i64::from(self.limit.max(1));
        self.period_ms.saturating_add(limit - 1) / limit
    }

    fn take(fields: &mut Fields, name: &str) -> Result<Option<Self>> {
        let Some(value) = fields.take(name) else { return Ok(None) };
        Self::parse(&fields.name(name), &value).map(Some)
    }

    /// Reads `{"limit", "period"}`, the object at `field`.
    ///
    /// # Errors
    /// `invalid_request` for a member that is missing, unknown or out of bounds.
    pub fn parse(field: &str, value: &Json) -> Result<Self> {
        let mut fields = Fields::from_member(field, value)?;
        let required = |name: &str| Error::field(&format!("{field}.{name}"), "is required");
        let limit = take_limit(&mut fields, "limit", 1, MAX_LIMIT)?.ok_or_else(|| required("limit"))?;
        let period = fields.take_string("period")?.ok_or_else(|| required("period"))?;
        let period_ms = parse_duration(&period).filter(|ms| (1..=MAX_PERIOD_MS).contains(ms)).ok_or_else(|| {
            let problem = "must be an ISO 8601 duration of more than zero and at most 365 days, such as 'PT1M'";
            Error::field(&fields.name("period"), problem)
        })?;
        refuse_rest(field, fields, "a window")?;
        Ok(Self { limit, period_ms })
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut window = serializer.serialize_struct("Window", 2)?;
        window.serialize_field("limit", &self.limit)?;
        window.serialize_field("period", &format_duration(self.period_ms))?;
        window.end()
    }
}

/// The limits of a key (section 6.1), all of which must allow a start. As JSON in the specification's form, without
/// those that are not set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Limits {
    /// Most jobs that may be active at once; 0 lets none start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Most starts in a fixed window that begins with its first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Window>,
    /// Starts spread evenly over the period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Window>,
}

impl Limits {
    /// Whether they limit nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the object at `field` of a request, which has nothing but limits; they may be none.
    ///
    /// # Errors
    /// `invalid_request` as of [`Self::take`], and for an unknown member.
    pub fn parse(field: &str, value: &Json) -> Result<Self> {
        let mut fields = Fields::from_member(field, value)?;
        let limits = Self::take(&mut fields)?;
        refuse_rest(field, fields, "rate limits")?;
        Ok(limits)
    }

    /// Takes the limits out of an object that may have other members: `concurrency`, `rate`, `throttle`, and
    /// `max_per_second`, which is a `rate` of one second.
    ///
    /// # Errors
    /// `invalid_request` for a limit that is no integer or out of range, a period that is no duration, zero or beyond
    /// [`MAX_PERIOD_MS`], an unknown member of a window, and for `max_per_second` beside `rate`.
    pub fn take(fields: &mut Fields) -> Result<Self> {
        Ok(Self::take_either(fields)?.0)
    }

    /// As [`Self::take`]; also whether the rate was given as `max_per_second`.
    pub(super) fn take_either(fields: &mut Fields) -> Result<(Self, bool)> {
        let concurrency = take_limit(fields, "concurrency", 0, MAX_CONCURRENCY)?;
        let rate = Window::take(fields, "rate")?;
        let throttle = Window::take(fields, "throttle")?;
        let per_second =
            take_limit(fields, "max_per_second", 1, MAX_LIMIT)?.map(|limit| Window { limit, period_ms: 1_000 });
        if rate.is_some() && per_second.is_some() {
            return Err(Error::field(&fields.name("max_per_second"), "cannot be given beside 'rate'"));
        }
        Ok((Self { concurrency, rate: rate.or(per_second), throttle }, per_second.is_some()))
    }

    /// These, but what `over` sets as it sets it.
    #[must_use]
    pub fn overridden(self, over: Self) -> Self {
        Self {
            concurrency: over.concurrency.or(self.concurrency),
            rate: over.rate.or(self.rate),
            throttle: over.throttle.or(self.throttle),
        }
    }
}

fn take_limit(fields: &mut Fields, name: &str, min: i64, max: u32) -> Result<Option<u32>> {
    let limit = fields.take_integer(name, min, i64::from(max))?;
    Ok(limit.map(|limit| u32::try_from(limit).unwrap_or(max)))
}

/// Fails when something has not been taken from `fields`, which is the object at `field`.
pub(super) fn refuse_rest(field: &str, fields: Fields, of: &str) -> Result<()> {
    match fields.rest().into_keys().next() {
        Some(unknown) => Err(Error::field(&format!("{field}.{unknown}"), format_args!("is not a member of {of}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::json::raw;

    fn parse(text: &str) -> Result<Limits> {
        Limits::parse("l", &raw(text).unwrap())
    }

    fn window(limit: u32, period_ms: i64) -> Option<Window> {
        Some(Window { limit, period_ms })
    }

    #[test]
    fn limits_are_read_and_written() {
        for (text, concurrency, rate, throttle, written) in [
            ("{}", None, None, None, "{}"),
            (r#"{"concurrency":null,"rate":null,"throttle":null,"max_per_second":null}"#, None, None, None, "{}"),
            (r#"{"concurrency":0}"#, Some(0), None, None, r#"{"concurrency":0}"#),
            (r#"{"concurrency":5.0}"#, Some(5), None, None, r#"{"concurrency":5}"#),
            (r#"{"max_per_second":7}"#, None, window(7, 1_000), None, r#"{"rate":{"limit":7,"period":"PT1S"}}"#),
            (
                r#"{"throttle":{"limit":10,"period":"PT0.5S"},"rate":{"period":"P1D","limit":1000000},"concurrency":1}"#,
                Some(1),
                window(1_000_000, 86_400_000),
                window(10, 500),
                r#"{"concurrency":1,"rate":{"limit":1000000,"period":"PT24H"},"throttle":{"limit":10,"period":"PT0.5S"}}"#,
            ),
            (
                r#"{"throttle":{"limit":1,"period":"P365D"},"max_per_second":1}"#,
                None,
                window(1, 1_000),
                window(1, MAX_PERIOD_MS),
                r#"{"rate":{"limit":1,"period":"PT1S"},"throttle":{"limit":1,"period":"PT8760H"}}"#,
            ),
        ] {
            let limits = parse(text).unwrap();
            assert_eq!(limits, Limits { concurrency, rate, throttle }, "{text}");
            assert_eq!(serde_json::to_string(&limits).unwrap(), written, "{text}");
            assert_eq!(limits.is_empty(), written == "{}", "{text}");
        }
    }

    #[test]
    fn bad_limits_name_the_field() {
        for (text, field) in [
            ("[]", "l"),
            (r#"{"concurrency":-1}"#, "l.concurrency"),
            (r#"{"concurrency":1.5}"#, "l.concurrency"),
            (r#"{"concurrency":"5"}"#, "l.concurrency"),
            (r#"{"concurrency":1000001}"#, "l.concurrency"),
            (r#"{"max_per_second":0}"#, "l.max_per_second"),
            (r#"{"max_per_second":1000001}"#, "l.max_per_second"),
            (r#"{"max_per_second":1,"rate":{"limit":1,"period":"PT1S"}}"#, "l.max_per_second"),
            (r#"{"rate":5}"#, "l.rate"),
            (r#"{"rate":{}}"#, "l.rate.limit"),
            (r#"{"rate":{"limit":null,"period":"PT1S"}}"#, "l.rate.limit"),
            (r#"{"rate":{"limit":0,"period":"PT1S"}}"#, "l.rate.limit"),
            (r#"{"rate":{"limit":1000001,"period":"PT1S"}}"#, "l.rate.limit"),
            (r#"{"rate":{"limit":1}}"#, "l.rate.period"),
            (r#"{"rate":{"limit":1,"period":60}}"#, "l.rate.period"),
            (r#"{"rate":{"limit":1,"period":"1m"}}"#, "l.rate.period"),
            (r#"{"throttle":{"limit":1,"period":"PT0S"}}"#, "l.throttle.period"),
            (r#"{"throttle":{"limit":1,"period":"PT0.0001S"}}"#, "l.throttle.period"),
            (r#"{"throttle":{"limit":1,"period":"P366D"}}"#, "l.throttle.period"),
            (r#"{"throttle":{"limit":1,"period":"PT1S","burst":2}}"#, "l.throttle.burst"),
            (r#"{"key":"a","concurrency":1}"#, "l.key"),
            (r#"{"on_limit":"wait","concurrency":1}"#, "l.on_limit"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(
                (error.code.as_str(), error.details["field"].as_str()),
                ("invalid_request", Some(field)),
                "{text}"
            );
        }
    }

    #[test]
    fn intervals_are_rounded_up() {
        for (limit, period_ms, interval) in
            [(10, 1_000, 100), (3, 1_000, 334), (1, 1_000, 1_000), (1_000_000, 1_000, 1), (60, 60_000, 1_000)]
        {
            assert_eq!(Window { limit, period_ms }.interval_ms(), interval, "{limit} in {period_ms}");
        }
    }

    #[test]
    fn an_override_replaces_what_it_sets() {
        let base = Limits { concurrency: Some(5), rate: window(1, 2), throttle: None };
        assert_eq!(base.overridden(Limits::default()), base);
        let over = Limits { concurrency: Some(9), rate: None, throttle: window(3, 4) };
        assert_eq!(base.overridden(over), Limits { concurrency: Some(9), rate: window(1, 2), throttle: window(3, 4) });
    }

    fn any_window() -> impl Strategy<Value = Option<Window>> {
        let window = (1..=MAX_LIMIT, 1..=MAX_PERIOD_MS).prop_map(|(limit, period_ms)| Window { limit, period_ms });
        proptest::option::of(window)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            concurrency in proptest::option::of(0..=MAX_CONCURRENCY), rate in any_window(), throttle in any_window(),
        ) {
            let limits = Limits { concurrency, rate, throttle };
            prop_assert_eq!(parse(&serde_json::to_string(&limits).unwrap()).unwrap(), limits);
        }
    }
}
