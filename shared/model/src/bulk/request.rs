use std::collections::HashMap;

use super::filter::Filter;
use crate::batch::MAX_BATCH_JOBS;
use crate::error::{Error, ErrorCode, Result};
use crate::ids::JobId;
use crate::job::State;
use crate::json::Fields;

/// Most jobs that one request may name, or look at for its filter.
pub const MAX_BULK_JOBS: usize = MAX_BATCH_JOBS;

/// What a bulk request does to its jobs, or what another one makes under an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Makes them (section 5).
    Enqueue,
    /// Cancels them (section 6).
    Cancel,
    /// Makes them available again (section 7).
    Retry,
    /// Deletes them for good (section 8).
    Delete,
    /// Makes one job; no bulk request.
    Job,
    /// Makes a batch of jobs; no bulk request.
    Batch,
    /// Makes a workflow; no bulk request.
    Workflow,
}

impl Operation {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Delete => "delete",
            Self::Job => "job",
            Self::Batch => "batch",
            Self::Workflow => "workflow",
        }
    }

    /// What it has made of a job: the status of an item, and the name of their number.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::Enqueue | Self::Job | Self::Batch | Self::Workflow => "created",
            Self::Cancel => "cancelled",
            Self::Retry => "retried",
            Self::Delete => "deleted",
        }
    }

    /// The states that a filter may ask for.
    #[must_use]
    pub fn states(self) -> &'static [State] {
        match self {
            Self::Enqueue | Self::Job | Self::Batch | Self::Workflow => &[],
            Self::Cancel => &[State::Available, State::Scheduled, State::Retryable, State::Pending],
            Self::Retry => &[State::Discarded, State::Retryable],
            Self::Delete => &[State::Completed, State::Cancelled, State::Discarded],
        }
    }

    /// The states that a filter means when it names none (section 6.1 says so for cancel).
    #[must_use]
    pub fn default_states(self) -> &'static [State] {
        match self {
            Self::Cancel => &[State::Available, State::Scheduled],
            _ => self.states(),
        }
    }
}

/// Which jobs a request is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// These, each once.
    Ids(Vec<JobId>),
    /// Those that match.
    Filter(Box<Filter>),
}

/// Takes `atomicity`: whether it is all or none. `partial` where it is not given.
///
/// # Errors
/// `invalid_request` for anything but `partial` and `atomic`.
pub fn take_atomic(body: &mut Fields) -> Result<bool> {
    match body.take_string("atomicity")?.as_deref() {
        None | Some("partial") => Ok(false),
        Some("atomic") => Ok(true),
        Some(_) => Err(Error::field("atomicity", "must be 'partial' or 'atomic'")),
    }
}

/// Reads which jobs a cancel, retry or delete is about: `job_ids` or `filter`, one of both.
///
/// # Errors
/// `unsupported` for `atomicity: "atomic"`; `invalid_request` when none or both are given, or one has something wrong;
/// `payload_too_large` for more than [`MAX_BULK_JOBS`] ids.
pub fn parse_selection(operation: Operation, mut body: Fields) -> Result<Selection> {
    if take_atomic(&mut body)? {
        let verb = operation.as_str();
        let message =
            format!("Bulk {verb} is not available as 'atomic': each job is a transaction of its own; use 'partial'.");
        return Err(Error::new(ErrorCode::Unsupported, message).with("field", "atomicity"));
    }
    match (body.take_kind("job_ids", "array")?, body.take_kind("filter", "object")?) {
        (Some(list), None) => {
            let list: Vec<String> = serde_json::from_str(list.get())
                .map_err(|_| Error::field("job_ids", "must be an array of strings").with("expected", "string[]"))?;
            ids(list).map(Selection::Ids)
        }
        (None, Some(given)) => Filter::parse(operation, Fields::from_member("filter", &given)?)
            .map(|filter| Selection::Filter(Box::new(filter))),
        (Some(_), Some(_)) => Err(Error::field("job_ids", "and 'filter' are given; only one of them is allowed")),
        (None, None) => Err(Error::field("job_ids", "or 'filter' is required")),
    }
}

fn ids(list: Vec<String>) -> Result<Vec<JobId>> {
    if list.is_empty() {
        return Err(Error::field("job_ids", "must have at least one id"));
    }
    if list.len() > MAX_BULK_JOBS {
        let message = format!("The request names {} jobs; at most {MAX_BULK_JOBS} are allowed.", list.len());
        return Err(Error::new(ErrorCode::PayloadTooLarge, message)
            .with("what", "job_ids")
            .with("size", list.len())
            .with("max_batch_size", MAX_BULK_JOBS));
    }
    let mut seen = HashMap::with_capacity(list.len());
    let mut ids = Vec::with_capacity(list.len());
    for (index, text) in list.into_iter().enumerate() {
        let field = format!("job_ids[{index}]");
        let id = JobId::parse(&text).ok_or_else(|| Error::field(&field, "must be a lower-case UUIDv7"))?;
        if let Some(first) = seen.insert(id.clone(), index) {
            return Err(Error::field(&field, format_args!("is the same id as 'job_ids[{first}]'")));
        }
        ids.push(id);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(operation: Operation, body: &str) -> Result<Selection> {
        parse_selection(operation, Fields::from_body(body.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_wrong_is_named() {
        let id = "019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f";
        for (body, field) in [
            ("{}".to_owned(), "job_ids"),
            (r#"{"job_ids":[]}"#.to_owned(), "job_ids"),
            (r#"{"job_ids":"x"}"#.to_owned(), "job_ids"),
            (r#"{"job_ids":[5]}"#.to_owned(), "job_ids"),
            (format!(r#"{{"job_ids":["{id}"],"filter":{{"queue":"a"}}}}"#), "job_ids"),
            (format!(r#"{{"job_ids":["{id}","x"]}}"#), "job_ids[1]"),
            (format!(r#"{{"job_ids":["{id}","{id}"]}}"#), "job_ids[1]"),
            (format!(r#"{{"job_ids":["{id}"],"atomicity":"some"}}"#), "atomicity"),
            (r#"{"filter":{}}"#.to_owned(), "filter.queue"),
            (r#"{"filter":{"queue":"a b"}}"#.to_owned(), "filter.queue"),
            (r#"{"filter":{"queue":"a","states":["available"]}}"#.to_owned(), "filter.states"),
            (r#"{"filter":{"queue":"a","state":"available"}}"#.to_owned(), "filter.state"),
            (r#"{"filter":{"queue":"a","state":[]}}"#.to_owned(), "filter.state"),
            (r#"{"filter":{"queue":"a","state":["active"]}}"#.to_owned(), "filter.state"),
            (r#"{"filter":{"queue":"a","state":["nonsense"]}}"#.to_owned(), "filter.state"),
            (r#"{"filter":{"queue":"a","enqueued_before":"noon"}}"#.to_owned(), "filter.enqueued_before"),
            (r#"{"filter":{"queue":"a","enqueued_after":5}}"#.to_owned(), "filter.enqueued_after"),
            (r#"{"filter":{"queue":"a","priority":101}}"#.to_owned(), "filter.priority"),
            (r#"{"filter":{"queue":"a","meta":[]}}"#.to_owned(), "filter.meta"),
        ] {
            let error = parse(Operation::Cancel, &body).unwrap_err();
            assert_eq!((error.code, &error.details["field"]), (ErrorCode::InvalidRequest, &field.into()), "{body}");
        }
        let atomic = parse(Operation::Delete, &format!(r#"{{"job_ids":["{id}"],"atomicity":"atomic"}}"#)).unwrap_err();
        assert_eq!(atomic.code, ErrorCode::Unsupported);
    }

    #[test]
    fn a_thousand_ids_are_read_and_no_more() {
        let body = |count: usize| {
            let ids: Vec<_> = (0..count).map(|i| format!(r#""019461a8-1a2b-7c3d-8e4f-{i:012x}""#)).collect();
            format!(r#"{{"job_ids":[{}]}}"#, ids.join(","))
        };
        assert!(matches!(parse(Operation::Retry, &body(1_000)).unwrap(), Selection::Ids(ids) if ids.len() == 1_000));
        let error = parse(Operation::Retry, &body(1_001)).unwrap_err();
        assert_eq!((error.code, &error.details["max_batch_size"]), (ErrorCode::PayloadTooLarge, &1_000.into()));
    }
}
