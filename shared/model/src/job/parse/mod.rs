//! Reading an enqueue request (HTTP binding section 9.1; what the fields may hold: core section 5).

mod meta;
mod names;
mod options;

pub use meta::{MAX_META_BYTES, message_group};
pub use names::{MAX_ID_AHEAD_MS, MAX_QUEUE_CHARS, MAX_TYPE_CHARS, is_queue_name, queue_name};
pub use options::{MAX_VISIBILITY_MS, MIN_VISIBILITY_MS};

use std::collections::BTreeMap;

use meta::merge_meta;
use names::{client_id, is_job_type};
use options::Options;

use super::envelope::{Job, NewJob};
use super::state::State;
use super::unique::{UniqueKey, UniquePolicy};
use crate::error::{Error, ErrorCode, Result};
use crate::ids::Ids;
use crate::json::{Fields, Json, check_portable, expect};

/// Largest envelope, bytes of JSON: a DynamoDB item holds 400 KiB, and the history and a result of 64 KiB must
/// still fit beside it. Larger payloads are to go to S3 (claim check), which is work of its own.
pub const MAX_ENVELOPE_BYTES: usize = 300 * 1_024;

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
/// ```
/// use ojs_model::job::{State, parse_enqueue};
/// use ojs_model::{Ids, json::Fields};
///
/// let body = br#"{"type": "email.send", "args": ["bob@example.com"], "options": {"queue": "mail", "scheduled_at": "+PT5M"}}"#;
/// let now_ms = 1_700_000_000_000;
/// let job = parse_enqueue(Fields::from_body(body)?, now_ms, &Ids::new())?.job;
/// assert_eq!((job.queue.as_str(), job.state, job.due_at), ("mail", State::Scheduled, Some(now_ms + 300_000)));
///
/// let refused = parse_enqueue(Fields::from_body(br#"{"type": "email.send"}"#)?, now_ms, &Ids::new()).unwrap_err();
/// assert_eq!(refused.message, "'args' is required.");
/// # Ok::<(), ojs_model::Error>(())
/// ```
///
/// # Errors
/// `invalid_request` (400) for any field rule, `validation_error` (422) for the retry policy, `unsupported` (422) for
/// another specversion, `payload_too_large` (413) for an envelope over [`MAX_ENVELOPE_BYTES`] or a meta over
/// [`MAX_META_BYTES`].
pub fn parse_enqueue(mut fields: Fields, now_ms: i64, ids: &Ids) -> Result<NewJob> {
    check_specversion(&mut fields)?;
    let job_type = job_type(&mut fields)?;
    let args = fields.take_raw("args").ok_or_else(|| Error::field("args", "is required"))?;
    expect("args", &args, "array")?;
    let id = match fields.take_raw("id") {
        Some(id) if id.get() != "null" => Some(client_id(&id, now_ms)?),
        _ => None,
    };
    let meta = fields.take_kind("meta", "object")?;
    let schema = fields.take_string("schema")?;
    let options = Options::take(&mut fields, now_ms)?;
    let meta = merge_meta(meta, options.metadata)?;
    let group = message_group(meta.as_ref())?;
    let extra = extra(fields.rest())?;

    let client_id = id.is_some();
    let due = options.scheduled_at.as_ref().map(|at| at.at_ms).filter(|at| *at > now_ms && !options.pending);
    let mut job = Job {
        meta,
        schema,
        group,
        extra,
        priority: options.priority,
        tags: options.tags,
        timeout_ms: options.timeout_ms,
        visibility_timeout_ms: options.visibility_timeout_ms,
        retry: options.retry,
        retry_given: options.retry_given,
        unique: options.unique,
        rate_limit: options.rate_limit,
        limit: options.limit,
        nonce: client_id.then(|| ids.nonce()),
        state: state(options.pending, due),
        enqueued_at: (!options.pending).then_some(now_ms),
        scheduled_at: options.scheduled_at,
        expires_at: options.expires_at,
        due_at: due,
        ..Job::new(id.unwrap_or_else(|| ids.job_id(now_ms)), job_type, options.queue, args, now_ms)
    };
    check_numbers(&job)?;
    let policy = job.unique.as_ref().map(|given| UniquePolicy::parse("options.unique", given)).transpose()?;
    if let Some(policy) = &policy {
        let (queue, args, meta) = (job.queue.as_str(), &job.args, job.meta.as_ref());
        job.unique_key = Some(UniqueKey::of(policy, "options.unique", &job.job_type, queue, args, meta)?);
    }
    let size = job.envelope_bytes();
    if size > MAX_ENVELOPE_BYTES {
        return Err(Error::too_large("envelope", size, MAX_ENVELOPE_BYTES));
    }
    Ok(NewJob { job, client_id, unique: policy })
}

fn job_type(fields: &mut Fields) -> Result<String> {
    let job_type = fields.take_string("type")?.ok_or_else(|| Error::field("type", "is required"))?;
    if is_job_type(&job_type) {
        return Ok(job_type);
    }
    Err(Error::field(
        "type",
        format_args!(
            "must be dot-separated lower-case names such as 'email.send', at most {MAX_TYPE_CHARS} characters"
        ),
    ))
}

fn state(pending: bool, due: Option<i64>) -> State {
    match due {
        _ if pending => State::Pending,
        Some(_) => State::Scheduled,
        None => State::Available,
    }
}

/// Numbers that clients would read differently are refused wherever the client's JSON is kept.
fn check_numbers(job: &Job) -> Result<()> {
    let kept = [
        ("meta", &job.meta),
        ("options.retry", &job.retry_given),
        ("options.unique", &job.unique),
        ("options.rate_limit", &job.rate_limit),
        ("$", &job.extra),
        ("options.tags", &job.tags),
    ];
    for (field, value) in kept {
        if let Some(value) = value {
            check_portable(field, value)?;
        }
    }
    check_portable("args", &job.args)
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
    use crate::ids::JobId;
    use crate::job::RetryPolicy;

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
