use std::collections::{HashMap, HashSet};

use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorCode, Result};
use crate::ids::{Ids, JobId};
use crate::job::unique::UniqueKey;
use crate::job::{NewJob, parse_enqueue};
use crate::json::Fields;
use crate::queue::MAX_ALL_TIERS;

/// Most jobs in one request (bulk operations section 9.1 asks for 1,000).
pub const MAX_BATCH_JOBS: usize = 1_000;

/// Most SQS queues that the jobs of one request may need: each pair of queue and priority has one, up to 13 an OJS queue. To
/// make one takes SQS three calls.
pub const MAX_BATCH_QUEUES: usize = 100;

/// Refuses jobs, by queue and priority, that need more SQS queues than one request may make.
///
/// # Errors
/// `invalid_request` that names `field` and the limit.
pub fn check_queues<'a>(field: &str, jobs: impl Iterator<Item = (&'a str, i64)>) -> Result<()> {
    let mut queues: HashMap<&str, HashSet<i64>> = HashMap::new();
    for (queue, priority) in jobs {
        queues.entry(queue).or_default().insert(priority);
    }
    let needed: usize = queues.values().map(|priorities| priorities.len().min(MAX_ALL_TIERS)).sum();
    if needed <= MAX_BATCH_QUEUES {
        return Ok(());
    }
    let problem =
        format!("names {needed} different pairs of queue and priority; at most {MAX_BATCH_QUEUES} are allowed");
    Err(Error::field(field, problem).with("max", MAX_BATCH_QUEUES).with("found", needed))
}

/// One job of a request: to be made, or refused.
pub type Entry = std::result::Result<NewJob, Error>;

/// Reads `{"jobs": [...]}`, all of whose jobs must be valid and different.
///
/// # Errors
/// As for each job, naming the first that is wrong by its index; `duplicate` when two jobs have the same id or unique key.
pub fn parse_batch(fields: Fields, now_ms: i64, ids: &Ids) -> Result<Vec<NewJob>> {
    parse_jobs(fields, now_ms, ids)?.into_iter().collect()
}

/// Reads `{"jobs": [...]}`; what is wrong with one job does not keep the others out.
///
/// # Errors
/// `invalid_request` when there is no list of jobs, or none in it; `payload_too_large` for more than [`MAX_BATCH_JOBS`].
pub fn parse_jobs(mut fields: Fields, now_ms: i64, ids: &Ids) -> Result<Vec<Entry>> {
    let list = fields.take_kind("jobs", "array")?.ok_or_else(|| Error::field("jobs", "is required"))?;
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(Error::internal)?;
    if list.is_empty() {
        return Err(Error::field("jobs", "must have at least one job"));
    }
    if list.len() > MAX_BATCH_JOBS {
        let message = format!("The request has {} jobs; at most {MAX_BATCH_JOBS} are allowed.", list.len());
        return Err(Error::new(ErrorCode::PayloadTooLarge, message)
            .with("what", "jobs")
            .with("size", list.len())
            .with("max_batch_size", MAX_BATCH_JOBS));
    }
    let mut seen = Seen::default();
    let read = |(index, value): (usize, &RawValue)| {
        Fields::from_request(value)
            .and_then(|request| parse_enqueue(request, now_ms, ids))
            .and_then(|new| seen.check(new, index))
            .map_err(|error| place(error, index))
    };
    Ok(list.into_iter().enumerate().map(read).collect())
}

/// What the jobs before have.
#[derive(Default)]
struct Seen {
    ids: HashMap<JobId, usize>,
    keys: HashMap<UniqueKey, usize>,
}

impl Seen {
    fn check(&mut self, new: NewJob, index: usize) -> Result<NewJob> {
        if new.client_id
            && let Some(first) = self.ids.insert(new.job.id.clone(), index)
        {
            return Err(twice("id", first));
        }
        if let Some(key) = new.job.unique_key
            && let Some(first) = self.keys.insert(key, index)
        {
            return Err(twice("unique key", first));
        }
        Ok(new)
    }
}

fn twice(what: &str, first: usize) -> Error {
    Error::new(ErrorCode::Duplicate, format!("It has the same {what} as job {first} of this request."))
        .with("first_index", first)
}

/// Says which job of the request an error is about.
#[must_use]
pub fn place(mut error: Error, index: usize) -> Error {
    let prefix = format!("jobs[{index}]");
    error.message = match error.details.get("field").and_then(Value::as_str) {
        Some(field) if field != "$" => {
            let full = format!("{prefix}.{field}");
            let message = error.message.replacen(&format!("'{field}'"), &format!("'{full}'"), 1);
            error.details.insert("field".to_owned(), Value::String(full));
            message
        }
        _ => format!("{prefix}: {}", error.message),
    };
    error.with("index", index)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(body: &str) -> Result<Vec<NewJob>> {
        parse_batch(Fields::from_body(body.as_bytes()).unwrap(), 1_700_000_000_000, &Ids::new())
    }

    #[test]
    fn a_request_names_a_bounded_number_of_sqs_queues() {
        let names: Vec<String> = (0..101).map(|queue| format!("q{queue}")).collect();
        let plain = |count: usize| names.iter().take(count).map(|queue| (queue.as_str(), 0));
        assert!(check_queues("jobs", plain(100)).is_ok());
        let error = check_queues("jobs", plain(101)).unwrap_err();
        let detail = |name: &str| error.details[name].clone();
        assert_eq!((detail("field"), detail("max"), detail("found")), ("jobs".into(), 100.into(), 101.into()));
        // Of one OJS queue there are 13 SQS queues at most, whatever priorities its jobs have.
        let all = |queues: usize| {
            names.iter().take(queues).flat_map(|queue| (-100..=100).map(move |priority| (queue.as_str(), priority)))
        };
        assert!(check_queues("jobs", all(7)).is_ok());
        assert!(check_queues("jobs", all(8)).is_err());
    }

    #[test]
    fn jobs_come_in_their_order_with_rising_ids() {
        let jobs = parse(r#"{"jobs":[{"type":"a","args":[]},{"type":"b","args":[]},{"type":"c","args":[]}]}"#).unwrap();
        assert_eq!(jobs.iter().map(|new| new.job.job_type.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(jobs.windows(2).all(|two| two[0].job.id < two[1].job.id));
    }

    #[test]
    fn errors_name_the_job() {
        let id = Ids::new().job_id(1_700_000_000_000);
        for (jobs, code, index, field) in [
            (r#"{"type":"a","args":[]},{"args":[]}"#.to_owned(), "invalid_request", 1, Some("jobs[1].type")),
            (r#"{"type":"a","args":[]},5"#.to_owned(), "invalid_request", 1, None),
            (
                r#"{"type":"a","args":[],"options":{"retry":{"max_attempts":-1}}}"#.to_owned(),
                "validation_error",
                0,
                Some("jobs[0].options.retry.max_attempts"),
            ),
            (
                format!(r#"{{"id":"{id}","type":"a","args":[]}},{{"id":"{id}","type":"b","args":[]}}"#),
                "duplicate",
                1,
                None,
            ),
            (
                r#"{"type":"a","args":[1],"options":{"unique":{}}},{"type":"a","args":[2],"options":{"unique":{}}}"#
                    .to_owned(),
                "duplicate",
                1,
                None,
            ),
        ] {
            let error = parse(&format!(r#"{{"jobs":[{jobs}]}}"#)).unwrap_err();
            assert_eq!((error.code.as_str(), &error.details["index"]), (code, &Value::from(index)), "{jobs}: {error}");
            if let Some(field) = field {
                assert_eq!(error.details["field"], field, "{error}");
                assert!(error.message.contains(field), "{error}");
            }
        }
    }

    #[test]
    fn the_list_itself_has_bounds() {
        for (body, code) in
            [("{}", "invalid_request"), (r#"{"jobs":{}}"#, "invalid_request"), (r#"{"jobs":[]}"#, "invalid_request")]
        {
            assert_eq!(parse(body).unwrap_err().code.as_str(), code, "{body}");
        }
        let many = vec![r#"{"type":"a","args":[]}"#; MAX_BATCH_JOBS + 1].join(",");
        let error = parse(&format!(r#"{{"jobs":[{many}]}}"#)).unwrap_err();
        assert_eq!((error.code, &error.details["max_batch_size"]), (ErrorCode::PayloadTooLarge, &Value::from(1_000)));
        let full = vec![r#"{"type":"a","args":[]}"#; MAX_BATCH_JOBS].join(",");
        assert_eq!(parse(&format!(r#"{{"jobs":[{full}]}}"#)).unwrap().len(), MAX_BATCH_JOBS);
    }
}
