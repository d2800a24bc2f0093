use super::key::{LimitKey, MAX_KEY_CHARS};
use super::limits::{Limits, refuse_rest};
use crate::error::{Error, Result};
use crate::json::{Fields, Json};

/// What becomes of a job that may not start yet (rate limiting section 6.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnLimit {
    /// It stays `available` until it may.
    #[default]
    Wait,
    /// It is `scheduled` for when it may.
    Reschedule,
    /// It is `discarded`.
    Drop,
}

impl OnLimit {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Reschedule => "reschedule",
            Self::Drop => "drop",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Wait, Self::Reschedule, Self::Drop].into_iter().find(|known| known.as_str() == name)
    }
}

/// The limits that a job is subject to, and those that it shares them with (section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitPolicy {
    /// Jobs with the same key share their counts.
    pub key: LimitKey,
    /// What is limited; never nothing.
    pub limits: Limits,
    /// What becomes of the job while they are reached.
    pub on_limit: OnLimit,
}

impl RateLimitPolicy {
    /// Reads the object at `field` of a request for a job of `queue`.
    ///
    /// It has the specification's form, with a `key`; or it has `max_per_second` as its only limit, and then the key may
    /// be missing: the limit is that of the queue ([`LimitKey::of_queue`]).
    ///
    /// # Errors
    /// `invalid_request` as of [`Limits::take`], for an unknown member or `on_limit`, a key that is missing or breaks
    /// the pattern, and for a policy that limits nothing.
    pub fn parse(field: &str, value: &Json, queue: &str) -> Result<Self> {
        let mut fields = Fields::from_member(field, value)?;
        let key = take_key(&mut fields)?;
        let on_limit = take_on_limit(&mut fields)?;
        let (limits, per_second) = Limits::take_either(&mut fields)?;
        let key_field = fields.name("key");
        refuse_rest(field, fields, "a rate limit policy")?;
        if limits.is_empty() {
            return Err(Error::field(field, "must have 'concurrency', 'rate', 'throttle' or 'max_per_second'"));
        }
        let alone = per_second && limits == Limits { rate: limits.rate, ..Limits::default() };
        let key = key
            .or_else(|| alone.then(|| LimitKey::of_queue(queue)))
            .ok_or_else(|| Error::field(&key_field, "is required, unless 'max_per_second' is the only limit"))?;
        Ok(Self { key, limits, on_limit })
    }
}

fn take_key(fields: &mut Fields) -> Result<Option<LimitKey>> {
    let Some(text) = fields.take_string("key")? else { return Ok(None) };
    let key = LimitKey::parse(&text).ok_or_else(|| {
        Error::field(
            &fields.name("key"),
            format_args!(
                "must be letters, digits, '.', '_', ':' and '-', starting with a letter or digit, at most {MAX_KEY_CHARS} \
                 characters"
            ),
        )
    })?;
    Ok(Some(key))
}

fn take_on_limit(fields: &mut Fields) -> Result<OnLimit> {
    let Some(name) = fields.take_string("on_limit")? else { return Ok(OnLimit::default()) };
    OnLimit::parse(&name)
        .ok_or_else(|| Error::field(&fields.name("on_limit"), "must be 'wait', 'reschedule' or 'drop'"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::json::raw;
    use crate::limit::limits::Window;

    fn parse(text: &str) -> Result<RateLimitPolicy> {
        RateLimitPolicy::parse("options.rate_limit", &raw(text).unwrap(), "email")
    }

    #[test]
    fn policies_are_read() {
        let rate = |limit, period_ms| Limits { rate: Some(Window { limit, period_ms }), ..Limits::default() };
        let throttle = Some(Window { limit: 10, period_ms: 1_000 });
        for (text, key, limits, on_limit) in [
            (r#"{"max_per_second":5}"#, "queue:email", rate(5, 1_000), OnLimit::Wait),
            (r#"{"max_per_second":5,"on_limit":"drop"}"#, "queue:email", rate(5, 1_000), OnLimit::Drop),
            (r#"{"max_per_second":5,"key":null,"rate":null}"#, "queue:email", rate(5, 1_000), OnLimit::Wait),
            (r#"{"max_per_second":5,"key":"k"}"#, "k", rate(5, 1_000), OnLimit::Wait),
            (
                r#"{"max_per_second":5,"key":"k","concurrency":2}"#,
                "k",
                Limits { concurrency: Some(2), ..rate(5, 1_000) },
                OnLimit::Wait,
            ),
            (r#"{"key":"k","rate":{"limit":1,"period":"PT1S"}}"#, "k", rate(1, 1_000), OnLimit::Wait),
            (
                r#"{"key":"api.partner.com","concurrency":0,"rate":{"limit":500,"period":"PT1M"},
                    "throttle":{"limit":10,"period":"PT1S"},"on_limit":"reschedule"}"#,
                "api.partner.com",
                Limits { concurrency: Some(0), throttle, ..rate(500, 60_000) },
                OnLimit::Reschedule,
            ),
        ] {
            let wanted = RateLimitPolicy { key: LimitKey::parse(key).unwrap(), limits, on_limit };
            assert_eq!(parse(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn bad_policies_name_the_field() {
        for (text, field) in [
            ("{}", ""),
            (r#"{"key":"k"}"#, ""),
            (r#"{"key":"k","concurrency":null,"rate":null,"on_limit":"drop"}"#, ""),
            (r#"{"max_per_second":null}"#, ""),
            (r#"{"concurrency":1}"#, ".key"),
            (r#"{"rate":{"limit":1,"period":"PT1S"}}"#, ".key"),
            (r#"{"max_per_second":1,"concurrency":1}"#, ".key"),
            (r#"{"max_per_second":1,"throttle":{"limit":1,"period":"PT1S"}}"#, ".key"),
            (r#"{"key":"","concurrency":1}"#, ".key"),
            (r#"{"key":"a b","concurrency":1}"#, ".key"),
            (r#"{"key":5,"concurrency":1}"#, ".key"),
            (r#"{"key":"k","concurrency":-1}"#, ".concurrency"),
            (r#"{"key":"k","rate":{"limit":1,"period":"x"}}"#, ".rate.period"),
            (r#"{"key":"k","max_per_second":1,"rate":{"limit":1,"period":"PT1S"}}"#, ".max_per_second"),
            (r#"{"max_per_second":"5"}"#, ".max_per_second"),
            (r#"{"max_per_second":1,"on_limit":"Wait"}"#, ".on_limit"),
            (r#"{"max_per_second":1,"on_limit":1}"#, ".on_limit"),
            (r#"{"max_per_second":1,"max_per_minute":1}"#, ".max_per_minute"),
        ] {
            let error = parse(text).unwrap_err();
            let named = format!("options.rate_limit{field}");
            assert_eq!(
                (error.code.as_str(), error.details["field"].as_str()),
                ("invalid_request", Some(&*named)),
                "{text}"
            );
        }
        assert_eq!(RateLimitPolicy::parse("r", &raw("[]").unwrap(), "q").unwrap_err().details["field"], "r");
    }

    #[test]
    fn names_of_on_limit_read_back() {
        for on_limit in [OnLimit::Wait, OnLimit::Reschedule, OnLimit::Drop] {
            assert_eq!(OnLimit::parse(on_limit.as_str()), Some(on_limit));
        }
    }
}
