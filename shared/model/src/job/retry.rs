//! Retry policies and their delays (OJS retry sections 3 to 8).

use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::json::{Fields, Json, kind};
use crate::time::parse_duration;

/// Longest delay a policy may ask for, in ms: the largest duration there is.
const MAX_DELAY_MS: f64 = 36_525.0 * 86_400_000.0;
/// Most entries in `non_retryable_errors`.
const MAX_PATTERNS: usize = 100;

/// How the delay grows with the attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// `initial * coefficient^(n-1)`
    Exponential,
    /// `initial * n`
    Linear,
    /// `initial`
    Constant,
    /// `initial * n^coefficient`
    Polynomial,
}

/// What happens to a job whose attempts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExhaustion {
    /// Discarded.
    Discard,
    /// Discarded and listed as a dead letter.
    DeadLetter,
}

/// An effective retry policy: the client's fields over the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Executions in all; 0 and 1 both mean no retry.
    pub max_attempts: u32,
    /// First delay, ms, above 0.
    pub initial_interval_ms: i64,
    /// At least 1.0.
    pub backoff_coefficient: f64,
    /// Upper bound of every delay, ms.
    pub max_interval_ms: i64,
    /// Whether delays vary by a factor in [0.5, 1.5).
    pub jitter: bool,
    /// Error types that end the job at once; an entry that ends in `.*` matches by prefix.
    pub non_retryable_errors: Vec<String>,
    /// What follows the last attempt.
    pub on_exhaustion: OnExhaustion,
    /// How delays grow.
    pub backoff: Backoff,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_interval_ms: 1_000,
            backoff_coefficient: 2.0,
            max_interval_ms: 300_000,
            jitter: true,
            non_retryable_errors: Vec::new(),
            on_exhaustion: OnExhaustion::Discard,
            backoff: Backoff::Exponential,
        }
    }
}

impl RetryPolicy {
    /// Reads a policy as a client gives it; `field` names it in errors.
    ///
    /// # Errors
    /// `validation_error` (422) naming the field that breaks a rule.
    pub fn parse(field: &str, value: &Json) -> Result<Self> {
        let as_policy_error = |e: Error| Error { code: crate::ErrorCode::ValidationError, ..e };
        let mut fields = Fields::from_member(field, value).map_err(as_policy_error)?;
        Self::read(&mut fields).map_err(as_policy_error)
    }

    fn read(fields: &mut Fields) -> Result<Self> {
        let mut policy = Self::default();
        if let Some(n) = fields.take_integer("max_attempts", 0, i64::from(u32::MAX))? {
            policy.max_attempts = u32::try_from(n).unwrap_or(u32::MAX);
        }
        let initial = interval(fields, "initial_interval")?;
        let max = interval(fields, "max_interval")?;
        policy.initial_interval_ms = initial.unwrap_or(policy.initial_interval_ms);
        policy.max_interval_ms = max.unwrap_or(policy.max_interval_ms);
        // Checked only when the client gave both: the default maximum must not forbid a long first delay.
        if let (Some(initial), Some(max)) = (initial, max)
            && max < initial
        {
            return Err(Error::policy("max_interval", "must not be shorter than 'initial_interval'"));
        }
        if max.is_none() {
            policy.max_interval_ms = policy.max_interval_ms.max(policy.initial_interval_ms);
        }
        if let Some(value) = fields.take("backoff_coefficient") {
            policy.backoff_coefficient = coefficient(&value)?;
        }
        policy.jitter = fields.take_bool("jitter")?.unwrap_or(policy.jitter);
        policy.non_retryable_errors = fields.take_strings("non_retryable_errors", MAX_PATTERNS)?.unwrap_or_default();
        if let Some(name) = fields.take_string("on_exhaustion")? {
            policy.on_exhaustion = match name.as_str() {
                "discard" => OnExhaustion::Discard,
                "dead_letter" => OnExhaustion::DeadLetter,
                _ => return Err(Error::policy("on_exhaustion", "must be 'discard' or 'dead_letter'")),
            };
        }
        let strategy = fields.take_string("backoff_strategy")?.or(fields.take_string("backoff_type")?);
        if let Some(name) = strategy {
            policy.backoff = match name.as_str() {
                "exponential" => Backoff::Exponential,
                "linear" => Backoff::Linear,
                "constant" | "none" => Backoff::Constant,
                "polynomial" => Backoff::Polynomial,
                _ => {
                    return Err(Error::policy(
                        "backoff_strategy",
                        "must be 'exponential', 'linear', 'constant', 'none' or 'polynomial'",
                    ));
                }
            };
        }
        Ok(policy)
    }

    /// Whether an attempt of this number is the last.
    #[must_use]
    pub fn is_exhausted(&self, attempt: u32) -> bool {
        attempt >= self.max_attempts
    }

    /// Delay in ms after the failure of attempt `attempt` (1-based) of job `id`.
    ///
    /// The jitter is a function of id and attempt, so that everyone who computes the next attempt's time from the
    /// stored job finds the same.
    #[must_use]
    pub fn delay_ms(&self, id: &JobId, attempt: u32) -> i64 {
        let n = f64::from(attempt.max(1));
        #[allow(clippy::cast_precision_loss)]
        let (initial, max) = (self.initial_interval_ms as f64, (self.max_interval_ms as f64).min(MAX_DELAY_MS));
        let grown = match self.backoff {
            Backoff::Exponential => initial * self.backoff_coefficient.powf(n - 1.0),
            Backoff::Linear => initial * n,
            Backoff::Constant => initial,
            Backoff::Polynomial => initial * n.powf(self.backoff_coefficient),
        };
        let mut delay = grown.min(max);
        if self.jitter {
            delay = (delay * (0.5 + unit_interval(id, attempt))).min(max);
        }
        #[allow(clippy::cast_possible_truncation)]
        let delay_ms = delay.round() as i64;
        delay_ms
    }

    /// Whether an error of one of these names must not be retried (retry section 6.2).
    #[must_use]
    pub fn is_non_retryable<'a>(&self, names: impl IntoIterator<Item = &'a str> + Clone) -> bool {
        self.non_retryable_errors.iter().any(|pattern| {
            names.clone().into_iter().any(|name| match pattern.strip_suffix('*') {
                Some(prefix) if prefix.ends_with('.') => name.starts_with(prefix),
                _ => name == pattern,
            })
        })
    }
}

fn interval(fields: &mut Fields, field: &str) -> Result<Option<i64>> {
    if let Some(text) = fields.take_string(field)? {
        let ms = parse_duration(&text).filter(|ms| *ms > 0);
        return ms
            .map(Some)
            .ok_or_else(|| Error::policy(field, "must be an ISO 8601 duration above zero, such as 'PT1S'"));
    }
    // The HTTP binding's examples give milliseconds.
    #[allow(clippy::cast_possible_truncation)]
    fields.take_integer(&format!("{field}_ms"), 1, MAX_DELAY_MS as i64)
}

fn coefficient(value: &Json) -> Result<f64> {
    let number: Option<f64> = (kind(value.get()) == "number").then(|| value.get().parse().ok()).flatten();
    number
        .filter(|c| c.is_finite() && *c >= 1.0)
        .ok_or_else(|| Error::policy("backoff_coefficient", "must be a number of at least 1.0"))
}

/// A number in [0, 1) that depends only on the job and the attempt (FNV-1a, then a finaliser to spread it).
fn unit_interval(id: &JobId, attempt: u32) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for b in id.as_str().bytes().chain(attempt.to_le_bytes()) {
        hash = (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    #[allow(clippy::cast_precision_loss)]
    let unit = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    unit
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::json::raw;
    use proptest::prelude::*;

    fn id() -> JobId {
        JobId::parse("019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f").unwrap()
    }

    fn policy(text: &str) -> Result<RetryPolicy> {
        RetryPolicy::parse("options.retry", &raw(text).unwrap())
    }

    #[test]
    fn delays_follow_the_strategy() {
        let delays = |text: &str| {
            let p = policy(text).unwrap();
            [1, 2, 3].map(|n| p.delay_ms(&id(), n))
        };
        assert_eq!(delays(r#"{"jitter":false}"#), [1_000, 2_000, 4_000]);
        assert_eq!(delays(r#"{"jitter":false,"backoff_coefficient":10,"max_interval":"PT2S"}"#), [1_000, 2_000, 2_000]);
        assert_eq!(delays(r#"{"jitter":false,"backoff_strategy":"linear"}"#), [1_000, 2_000, 3_000]);
        assert_eq!(delays(r#"{"jitter":false,"backoff_type":"constant"}"#), [1_000, 1_000, 1_000]);
        assert_eq!(delays(r#"{"jitter":false,"backoff_strategy":"polynomial"}"#), [1_000, 4_000, 9_000]);
        assert_eq!(delays(r#"{"jitter":false,"initial_interval":"PT10M"}"#), [600_000; 3]);
    }

    #[test]
    fn broken_policies_name_their_field() {
        for (text, field) in [
            (r#"{"max_attempts":-1}"#, "max_attempts"),
            (r#"{"max_attempts":1.5}"#, "max_attempts"),
            (r#"{"max_attempts":"3"}"#, "max_attempts"),
            (r#"{"max_attempts":1e99}"#, "max_attempts"),
            (r#"{"initial_interval":"1s"}"#, "initial_interval"),
            (r#"{"initial_interval":"PT0S"}"#, "initial_interval"),
            (r#"{"initial_interval":5}"#, "initial_interval"),
            (r#"{"initial_interval_ms":0}"#, "initial_interval_ms"),
            (r#"{"initial_interval":"PT2S","max_interval":"PT1S"}"#, "max_interval"),
            (r#"{"backoff_coefficient":0.5}"#, "backoff_coefficient"),
            (r#"{"backoff_coefficient":1e999}"#, "backoff_coefficient"),
            (r#"{"backoff_coefficient":"2"}"#, "backoff_coefficient"),
            (r#"{"jitter":"yes"}"#, "jitter"),
            (r#"{"non_retryable_errors":[1]}"#, "non_retryable_errors"),
            (r#"{"on_exhaustion":"explode"}"#, "on_exhaustion"),
            (r#"{"backoff_strategy":"fibonacci"}"#, "backoff_strategy"),
            ("[]", "options.retry"),
        ] {
            let error = policy(text).unwrap_err();
            assert_eq!(error.code, crate::ErrorCode::ValidationError, "{text}");
            assert!(error.message.contains(field), "{text}: {}", error.message);
        }
    }

    #[test]
    fn patterns_match_exactly_or_by_prefix() {
        let p = policy(r#"{"non_retryable_errors":["Fatal","auth.*","x*"]}"#).unwrap();
        for (name, wanted) in [
            ("Fatal", true),
            ("FatalError", false),
            ("auth.expired", true),
            ("auth", false),
            ("xy", false),
            ("x*", true),
        ] {
            assert_eq!(p.is_non_retryable([name]), wanted, "{name}");
        }
    }

    proptest! {
        #[test]
        fn delays_stay_in_bounds(attempt in 1u32.., initial in 1i64..10_000_000, coefficient in 1.0f64..1e9,
                                 max in 1i64..10_000_000_000, strategy in 0usize..4, jitter: bool) {
            let backoff = [Backoff::Exponential, Backoff::Linear, Backoff::Constant, Backoff::Polynomial][strategy];
            let max_interval_ms = max.max(initial);
            let p = RetryPolicy { initial_interval_ms: initial, backoff_coefficient: coefficient, max_interval_ms,
                                  jitter, backoff, ..RetryPolicy::default() };
            let delay = p.delay_ms(&id(), attempt);
            prop_assert!(delay >= initial / 2 && delay <= max_interval_ms, "{delay}");
            prop_assert_eq!(delay, p.delay_ms(&id(), attempt));
        }
    }
}
