//! Reading an enqueue request (HTTP binding section 9.1; what the fields may hold: digest section 2.1).

use std::collections::BTreeMap;

use super::envelope::{Job, NewJob};
use super::retry::RetryPolicy;
use super::state::State;
use super::unique::{UniqueKey, UniquePolicy};
use super::{MAX_GROUP_CHARS, is_group};
use crate::error::{Error, ErrorCode, Result};
use crate::ids::{Ids, JobId};
use crate::json::{Fields, Json, check_portable, expect};
use crate::limit::RateLimitPolicy;
use crate::time::Moment;
use crate::time::parse_duration;
use crate::time::{format_ms, parse_when};

/// Longest job type, characters.
pub const MAX_TYPE_CHARS: usize = 255;
/// Longest queue name, characters.
pub const MAX_QUEUE_CHARS: usize = 128;
/// Largest `meta`, bytes of JSON.
pub const MAX_META_BYTES: usize = 64 * 1_024;
/// Largest envelope, bytes of JSON: a DynamoDB item holds 400 KiB, and the history and a result of 64 KiB must
/// still fit beside it. Larger payloads are to go to S3 (claim check), which is work of its own.
pub const MAX_ENVELOPE_BYTES: usize = 300 * 1_024;
/// Shortest lease, ms.
pub const MIN_VISIBILITY_MS: i64 = 1_000;
/// Longest lease, ms: what SQS can hide a message for.
pub const MAX_VISIBILITY_MS: i64 = 43_200_000;
/// How far the time in a client's id may be ahead of the server's clock, ms: clocks differ by seconds, and readers take an id's time
/// for the time at which the job was made.
pub const MAX_ID_AHEAD_MS: i64 = 300_000;
/// Longest execution timeout, ms: ten years.
const MAX_TIMEOUT_MS: i64 = 315_360_000_000;
const MAX_TAGS: usize = 100;

/// Names the server manages; from a client they are ignored (core section 5.3).
const SYSTEM_FIELDS: &[&str] = &[
    "specversion",
    "state",
    "attempt",
    "max_attempts",
    "created_at",
    "enqueued_at",
    "activated_at",
    "started_at",
    "completed_at",
    "cancelled_at",
    "discarded_at",
    "retried_at",
    "next_attempt_at",
    "retry_delay_ms",
    "previous_state",
    "error",
    "errors",
    "result",
    "worker_id",
    "workflow_id",
    "parent_results",
    "lease_token",
    "lease_expires_at",
    "visibility_timeout_ms",
    "rate_limit",
];

/// Reads an enqueue request into the job it asks for.
///
/// # Errors
/// `invalid_request` (400) for any field rule, `validation_error` (422) for the retry policy, `unsupported` (422) for
/// another specversion, `payload_too_large` (413) for an envelope over [`MAX_ENVELOPE_BYTES`] or a meta over
/// [`MAX_META_BYTES`].
pub fn parse_enqueue(mut fields: Fields, now_ms: i64, ids: &Ids) -> Result<NewJob> {
    check_specversion(&mut fields)?;
    let job_type = fields.take_string("type")?.ok_or_else(|| Error::field("type", "is required"))?;
    if !is_job_type(&job_type) {
        return Err(Error::field(
            "type",
            format_args!(
                "must be dot-separated lower-case names such as 'email.send', at most {MAX_TYPE_CHARS} characters"
            ),
        ));
    }
    let args = fields.take_raw("args").ok_or_else(|| Error::field("args", "is required"))?;
    expect("args", &args, "array")?;
    let id = match fields.take_raw("id") {
        Some(id) if id.get() != "null" => Some(client_id(&id, now_ms)?),
        _ => None,
    };
    let meta = fields.take_kind("meta", "object")?;
    let schema = fields.take_string("schema")?;
    let given = fields.take_kind("options", "object")?;
    let mut options = match &given {
        Some(options) => Fields::from_member("options", options)?,
        None => Fields::default(),
    };

    let queue = match either(&mut options, &mut fields, "queue", Fields::take_string)? {
        Some(name) => queue_name("options.queue", name)?,
        None => "default".to_owned(),
    };
    let priority = either(&mut options, &mut fields, "priority", |f, n| f.take_integer(n, -100, 100))?.unwrap_or(0);
    let timeout_ms = timeout(&mut options, &mut fields)?;
    let visibility_timeout_ms = visibility(&mut options, &mut fields)?;
    let retry_given =
        either(&mut options, &mut fields, "retry", |f, n| Ok(f.take(n)))?.or(options.take("retry_policy"));
    let retry = match &retry_given {
        Some(policy) => RetryPolicy::parse("options.retry", policy)?,
        None => RetryPolicy::default(),
    };
    let scheduled = either(&mut options, &mut fields, "scheduled_at", Fields::take_string)?;
    let delayed = either(&mut options, &mut fields, "delay_until", Fields::take_string)?;
    let scheduled_at = match (scheduled, delayed) {
        (Some(text), _) => Some(when("options.scheduled_at", &text, now_ms)?),
        (None, Some(text)) => Some(when("options.delay_until", &text, now_ms)?),
        (None, None) => None,
    };
    let expires_at = either(&mut options, &mut fields, "expires_at", Fields::take_string)?
        .map(|text| when("options.expires_at", &text, now_ms))
        .transpose()?;
    let tags = tags(&mut options, &mut fields)?;
    let unique = either(&mut options, &mut fields, "unique", |f, n| f.take_kind(n, "object"))?;
    let rate_limit = options.take_kind("rate_limit", "object")?;
    let limit =
        rate_limit.as_ref().map(|given| RateLimitPolicy::parse("options.rate_limit", given, &queue)).transpose()?;
    let pending = options.take_bool("pending")?.unwrap_or(false);
    // The cron specification's table of options calls it `meta` (OJS cron section 2.2).
    let over = options.take_kind("metadata", "object")?.or(options.take_kind("meta", "object")?);
    let meta = merge_meta(meta, over)?;
    if let Some(meta) = &meta
        && meta.get().len() > MAX_META_BYTES
    {
        return Err(Error::too_large("meta", meta.get().len(), MAX_META_BYTES));
    }
    let group = message_group(meta.as_ref())?;
    let extra = extra(fields.rest())?;
    let kept = [("meta", &meta), ("options.retry", &retry_given), ("options.unique", &unique)];
    let kept = kept.into_iter().chain([("options.rate_limit", &rate_limit), ("$", &extra), ("options.tags", &tags)]);
    for (field, value) in kept.filter_map(|(field, value)| value.as_ref().map(|value| (field, value))) {
        check_portable(field, value)?;
    }
    check_portable("args", &args)?;
    let policy = unique.as_ref().map(|given| UniquePolicy::parse("options.unique", given)).transpose()?;
    let unique_key = match &policy {
        Some(policy) => Some(UniqueKey::of(policy, "options.unique", &job_type, &queue, &args, meta.as_ref())?),
        None => None,
    };

    let due = scheduled_at.as_ref().map(|at| at.at_ms).filter(|at| *at > now_ms);
    let state = if pending {
        State::Pending
    } else if due.is_some() {
        State::Scheduled
    } else {
        State::Available
    };
    let client_id = id.is_some();
    let job = Job {
        id: id.unwrap_or_else(|| ids.job_id(now_ms)),
        job_type,
        queue,
        args,
        meta,
        priority,
        tags,
        schema,
        timeout_ms,
        visibility_timeout_ms,
        retry,
        retry_given,
        unique,
        unique_key,
        rate_limit,
        limit,
        holds: Vec::new(),
        extra,
        revision: 0,
        nonce: client_id.then(|| ids.nonce()),
        state,
        created_at: now_ms,
        enqueued_at: (!pending).then_some(now_ms),
        scheduled_at,
        expires_at,
        due_at: due.filter(|_| !pending),
        in_due_index: false,
        parked: None,
        attempt: 0,
        started_at: None,
        lease: None,
        ended_lease: None,
        ended_receipt: None,
        lapsed: Vec::new(),
        errors: Vec::new(),
        requeues: 0,
        past_errors: 0,
        retry_delay_ms: None,
        result: None,
        completed_at: None,
        cancelled_at: None,
        discarded_at: None,
        activated_at: None,
        retried_at: None,
        previous_state: None,
        dead_letter: false,
        group,
        retention: super::QueueRetention::default(),
        member_of: None,
        parents: None,
        parent_results: None,
        keeps_result: super::Keep::Never,
        cancel_requested_at: None,
        batch: None,
        cron: None,
        waits_for: None,
        successor: None,
    };
    let size = job.envelope_bytes();
    if size > MAX_ENVELOPE_BYTES {
        return Err(Error::too_large("envelope", size, MAX_ENVELOPE_BYTES));
    }
    Ok(NewJob { job, client_id, unique: policy })
}

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

fn is_job_type(name: &str) -> bool {
    name.len() <= MAX_TYPE_CHARS
        && name.split('.').all(|segment| {
            segment.starts_with(|c: char| c.is_ascii_lowercase())
                && segment.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
        })
}

fn check_specversion(fields: &mut Fields) -> Result<()> {
    match fields.take_string("specversion")? {
        Some(version) if version != "1.0" && !version.starts_with("1.0.") && !version.starts_with("1.0-") => {
            Err(Error::new(ErrorCode::Unsupported, format!("specversion '{version}' is not supported; use '1.0'."))
                .with("field", "specversion")
                .with("supported", "1.0"))
        }
        _ => Ok(()),
    }
}

fn client_id(value: &Json, now_ms: i64) -> Result<JobId> {
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

/// `options.metadata` is laid over `meta`.
fn merge_meta(meta: Option<Json>, over: Option<Json>) -> Result<Option<Json>> {
    let Some(over) = over else { return Ok(meta) };
    let Some(meta) = meta else { return Ok(Some(over)) };
    let mut members = Fields::from_member("meta", &meta)?.rest();
    members.extend(Fields::from_member("options.metadata", &over)?.rest());
    serde_json::value::to_raw_value(&members).map(Some).map_err(Error::internal)
}

/// The message group that `meta.message_group_id` asks for.
///
/// # Errors
/// `invalid_request` when it is no string that SQS takes for a group.
pub fn message_group(meta: Option<&Json>) -> Result<Option<String>> {
    const FIELD: &str = "message_group_id";
    // Nearly no job has one, and then the text need not be read. No other reader finds an escaped name either.
    let Some(meta) = meta.filter(|meta| meta.get().contains(FIELD)) else { return Ok(None) };
    let Some(group) = Fields::from_member("meta", meta)?.take_string(FIELD)? else { return Ok(None) };
    if is_group(&group) {
        return Ok(Some(group));
    }
    Err(Error::field(
        "meta.message_group_id",
        format_args!("must have 1 to {MAX_GROUP_CHARS} ASCII letters, digits or punctuation marks"),
    ))
}

fn extra(mut rest: BTreeMap<String, Json>) -> Result<Option<Json>> {
    rest.retain(|name, _| !SYSTEM_FIELDS.contains(&name.as_str()));
    if rest.is_empty() {
        return Ok(None);
    }
    serde_json::value::to_raw_value(&rest).map(Some).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn parse(text: &str) -> Result<NewJob> {
        parse_enqueue(Fields::from_body(text.as_bytes())?, NOW, &Ids::new())
    }

    #[test]
    fn a_minimal_request_gets_the_defaults() {
        let new = parse(r#"{"type":"a.b","args":[]}"#).unwrap();
        assert!(!new.client_id);
        let job = new.job;
        assert_eq!((job.queue.as_str(), job.priority, job.state), ("default", 0, State::Available));
        assert_eq!((job.created_at, job.enqueued_at, job.attempt), (NOW, Some(NOW), 0));
        assert_eq!(job.retry, RetryPolicy::default());
    }

    #[test]
    fn schedules_decide_the_state() {
        let job = |options: &str| parse(&format!(r#"{{"type":"a","args":[],"options":{options}}}"#)).unwrap().job;
        let later = job(r#"{"delay_until":"+PT2S"}"#);
        assert_eq!((later.state, later.due_at), (State::Scheduled, Some(NOW + 2_000)));
        let past = job(r#"{"scheduled_at":"2020-01-01T00:00:00Z"}"#);
        assert_eq!((past.state, past.due_at), (State::Available, None));
        let pending = job(r#"{"pending":true,"scheduled_at":"+PT2S"}"#);
        assert_eq!((pending.state, pending.due_at, pending.enqueued_at), (State::Pending, None, None));
    }

    #[test]
    fn unknown_fields_stay_and_system_fields_do_not() {
        let job = parse(r#"{"type":"a","args":[1.10],"x_a":{"b":1.0},"state":"completed","attempt":9}"#).unwrap().job;
        let shown = serde_json::to_string(&job.shown(false)).unwrap();
        assert!(shown.contains(r#""x_a":{"b":1.0}"#) && shown.contains(r#""args":[1.10]"#), "{shown}");
        assert!(shown.contains(r#""state":"available""#) && shown.contains(r#""attempt":0"#), "{shown}");
    }

    #[test]
    fn an_id_may_be_minutes_ahead_of_the_clock_and_not_more() {
        let at = |ms: i64| {
            let id = JobId::derived(ms, &[1; 10]);
            parse(&format!(r#"{{"type":"a","args":[],"id":"{id}"}}"#)).map(|new| new.job.id == id)
        };
        for ms in [0, NOW - 86_400_000, NOW, NOW + MAX_ID_AHEAD_MS] {
            assert!(at(ms).unwrap(), "{ms}");
        }
        for ms in [NOW + MAX_ID_AHEAD_MS + 1, NOW + 86_400_000, (1 << 48) - 1] {
            assert_eq!(at(ms).unwrap_err().details["field"], "id", "{ms}");
        }
    }

    #[test]
    fn metadata_is_laid_over_meta() {
        let job = parse(r#"{"type":"a","args":[],"meta":{"a":1,"b":2},"options":{"metadata":{"b":3}}}"#).unwrap().job;
        assert_eq!(job.meta.unwrap().get(), r#"{"a":1,"b":3}"#);
    }

    #[test]
    fn names_are_bounded() {
        assert!(is_queue_name(&"a".repeat(128)) && !is_queue_name(&"a".repeat(129)));
        assert!(is_job_type(&"a".repeat(255)) && !is_job_type(&"a".repeat(256)));
        for bad in ["", "Default", "my_queue!", "-invalid", "my queue", ".a", "ä"] {
            assert!(!is_queue_name(bad), "{bad}");
        }
        for bad in ["", "Email.Send", "email send", "1email.send", "email@send!", "a..b", ".a", "a.", "a.1", "ä"] {
            assert!(!is_job_type(bad), "{bad}");
        }
    }
}
