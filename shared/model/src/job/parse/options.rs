//! The options of an enqueue request. Each stands in one line of [`Options::take`]: nested in `options`, or flat in the envelope.

use super::names::queue_name;
use crate::error::{Error, Result};
use crate::job::RetryPolicy;
use crate::json::{Fields, Json, expect};
use crate::limit::RateLimitPolicy;
use crate::time::{Moment, parse_duration, parse_when};

/// Shortest lease, ms.
pub const MIN_VISIBILITY_MS: i64 = 1_000;
/// Longest lease, ms: what SQS can hide a message for.
pub const MAX_VISIBILITY_MS: i64 = 43_200_000;
/// Longest execution timeout, ms: ten years.
const MAX_TIMEOUT_MS: i64 = 315_360_000_000;
const MAX_TAGS: usize = 100;

/// The options, read and checked.
pub(super) struct Options {
    pub(super) queue: String,
    pub(super) priority: i64,
    pub(super) timeout_ms: Option<i64>,
    pub(super) visibility_timeout_ms: Option<i64>,
    pub(super) retry: RetryPolicy,
    /// The retry policy as the client wrote it; so with `tags`, `unique` and `rate_limit`.
    pub(super) retry_given: Option<Json>,
    pub(super) scheduled_at: Option<Moment>,
    pub(super) expires_at: Option<Moment>,
    pub(super) tags: Option<Json>,
    pub(super) unique: Option<Json>,
    pub(super) rate_limit: Option<Json>,
    pub(super) limit: Option<RateLimitPolicy>,
    pub(super) pending: bool,
    /// To be laid over `meta`.
    pub(super) metadata: Option<Json>,
}

impl Options {
    /// Takes the options out of the request `top`.
    ///
    /// # Errors
    /// `invalid_request` that names the option; `validation_error` for the retry policy.
    pub(super) fn take(top: &mut Fields, now_ms: i64) -> Result<Self> {
        let mut options = match top.take_kind("options", "object")? {
            Some(given) => Fields::from_member("options", &given)?,
            None => Fields::default(),
        };
        let options = &mut options;
        let queue = match either(options, top, "queue", Fields::take_string)? {
            Some(name) => queue_name("options.queue", name)?,
            None => "default".to_owned(),
        };
        let priority = either(options, top, "priority", |f, n| f.take_integer(n, -100, 100))?.unwrap_or(0);
        let timeout_ms = timeout(options, top)?;
        let visibility_timeout_ms = visibility(options, top)?;
        let retry_given = either(options, top, "retry", |f, n| Ok(f.take(n)))?.or(options.take("retry_policy"));
        let retry = match &retry_given {
            Some(policy) => RetryPolicy::parse("options.retry", policy)?,
            None => RetryPolicy::default(),
        };
        let scheduled_at = scheduled_at(options, top, now_ms)?;
        let expires_at = either(options, top, "expires_at", Fields::take_string)?
            .map(|text| when("options.expires_at", &text, now_ms))
            .transpose()?;
        let tags = tags(options, top)?;
        let unique = either(options, top, "unique", |f, n| f.take_kind(n, "object"))?;
        let rate_limit = options.take_kind("rate_limit", "object")?;
        let limit =
            rate_limit.as_ref().map(|given| RateLimitPolicy::parse("options.rate_limit", given, &queue)).transpose()?;
        let pending = options.take_bool("pending")?.unwrap_or(false);
        // The cron specification's table of options calls it `meta` (OJS cron section 2.2).
        let metadata = options.take_kind("metadata", "object")?.or(options.take_kind("meta", "object")?);
        Ok(Self {
            queue,
            priority,
            timeout_ms,
            visibility_timeout_ms,
            retry,
            retry_given,
            scheduled_at,
            expires_at,
            tags,
            unique,
            rate_limit,
            limit,
            pending,
            metadata,
        })
    }
}

/// The nested option, else the flat field of the same name.
fn either<T>(
    options: &mut Fields,
    top: &mut Fields,
    name: &str,
    take: impl Fn(&mut Fields, &str) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let nested = take(options, name)?;
    let flat = take(top, name)?;
    Ok(nested.or(flat))
}

/// `scheduled_at`, else `delay_until`.
fn scheduled_at(options: &mut Fields, top: &mut Fields, now_ms: i64) -> Result<Option<Moment>> {
    let scheduled = either(options, top, "scheduled_at", Fields::take_string)?;
    let delayed = either(options, top, "delay_until", Fields::take_string)?;
    match (scheduled, delayed) {
        (Some(text), _) => when("options.scheduled_at", &text, now_ms).map(Some),
        (None, Some(text)) => when("options.delay_until", &text, now_ms).map(Some),
        (None, None) => Ok(None),
    }
}

fn timeout(options: &mut Fields, top: &mut Fields) -> Result<Option<i64>> {
    let mut given = None;
    for fields in [options, top] {
        let ms = fields.take_integer("timeout_ms", 0, MAX_TIMEOUT_MS)?;
        // The flat envelope counts in seconds (core section 5.2).
        let s = fields.take_integer("timeout", 0, MAX_TIMEOUT_MS / 1_000)?;
        given = given.or(ms).or(s.map(|s| s * 1_000));
    }
    Ok(given.filter(|ms| *ms > 0))
}

fn visibility(options: &mut Fields, top: &mut Fields) -> Result<Option<i64>> {
    let ms = options.take_integer("visibility_timeout_ms", 0, MAX_VISIBILITY_MS)?;
    let text = match options.take("visibility_timeout") {
        Some(value) if crate::json::kind(value.get()) == "string" => {
            let text: String = serde_json::from_str(value.get()).unwrap_or_default();
            Some(parse_duration(&text).ok_or_else(|| {
                Error::field("options.visibility_timeout", "must be an ISO 8601 duration such as 'PT30S'")
            })?)
        }
        Some(value) => {
            expect("options.visibility_timeout", &value, "string")?;
            None
        }
        None => None,
    };
    let flat = top.take_integer("visibility_timeout", 0, MAX_VISIBILITY_MS / 1_000)?.map(|s| s * 1_000);
    let chosen = ms.or(text).or(flat).filter(|ms| *ms != 0);
    match chosen {
        Some(ms) if !(MIN_VISIBILITY_MS..=MAX_VISIBILITY_MS).contains(&ms) => Err(Error::field(
            "options.visibility_timeout_ms",
            format_args!("must be 0 or from {MIN_VISIBILITY_MS} to {MAX_VISIBILITY_MS}"),
        )),
        chosen => Ok(chosen),
    }
}

fn tags(options: &mut Fields, top: &mut Fields) -> Result<Option<Json>> {
    let Some(tags) = either(options, top, "tags", |f, n| f.take_strings(n, MAX_TAGS))? else { return Ok(None) };
    serde_json::value::to_raw_value(&tags).map(Some).map_err(Error::internal)
}

fn when(field: &str, text: &str, now_ms: i64) -> Result<Moment> {
    parse_when(text, now_ms).ok_or_else(|| {
        Error::field(
            field,
            "must be an RFC 3339 time with an offset, such as '2030-01-01T09:00:00Z', or '+' and an ISO 8601 duration",
        )
    })
}
