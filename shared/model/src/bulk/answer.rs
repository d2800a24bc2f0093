use serde::Serialize;
use serde_json::{Map, Value, json};

use super::request::Operation;
use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::job::{Brief, Job, Shown};
use crate::json::escaped_bytes;

/// Longest body that is stored with an idempotency key, bytes: an item holds 400 KiB.
const MAX_STORED_BYTES: usize = 300 * 1_024;
/// Of an error's message in a short answer, characters.
const SHORT_CHARS: usize = 100;

/// How far a bulk request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of its items succeeded.
    All,
    /// Some did.
    Mixed,
    /// None did, of at least one.
    Nothing,
}

impl Outcome {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mixed => "mixed",
            Self::Nothing => "nothing",
        }
    }

    /// Reads [`Self::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::All, Self::Mixed, Self::Nothing].into_iter().find(|outcome| outcome.as_str() == text)
    }

    fn of(succeeded: usize, total: usize) -> Self {
        match succeeded {
            _ if succeeded == total => Self::All,
            0 => Self::Nothing,
            _ => Self::Mixed,
        }
    }
}

/// The answer to a bulk request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How far it got.
    pub outcome: Outcome,
    /// How many items it has.
    pub count: usize,
    /// Its body, a JSON object.
    pub body: String,
}

impl Answer {
    fn new(outcome: Outcome, head: Map<String, Value>, items: Vec<Value>) -> Self {
        let count = items.len();
        let mut body = head;
        body.insert("items".to_owned(), Value::Array(items));
        Self { outcome, count, body: Value::Object(body).to_string() }
    }

    /// The answer as it is kept with an idempotency key: where it is too large for that, without what a repetition can do
    /// without.
    #[must_use]
    pub fn kept(&self) -> Self {
        self.within(|body| body.len() <= MAX_STORED_BYTES)
    }

    /// The answer as it is sent: the same where it has more than `max_bytes`, as [`escaped_bytes`] counts.
    #[must_use]
    pub fn sent(&self, max_bytes: usize) -> Self {
        self.within(|body| escaped_bytes(body.as_bytes()) <= max_bytes)
    }

    fn within(&self, fits: impl Fn(&str) -> bool) -> Self {
        let mut kept = self.clone();
        for codes_only in [false, true] {
            if fits(&kept.body) {
                break;
            }
            kept.body = shorter(&self.body, codes_only);
        }
        kept
    }
}

fn shorter(body: &str, codes_only: bool) -> String {
    let Ok(mut body) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    let short = |job: &mut Value| {
        if let Some(job) = job.as_object_mut() {
            let more = ["type", "queue", "attempt", "created_at", "enqueued_at"];
            job.retain(|name, _| name == "id" || name == "state" || (!codes_only && more.contains(&name.as_str())));
        }
    };
    body.get_mut("job").into_iter().for_each(short);
    body.get_mut("jobs").and_then(Value::as_array_mut).into_iter().flatten().for_each(short);
    for item in body.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(job) = item.get_mut("job").and_then(Value::as_object_mut) {
            job.retain(|name, _| name == "id" || name == "state");
        }
        if let Some(error) = item.get_mut("error").and_then(Value::as_object_mut) {
            error.retain(|name, _| name == "code" || (name == "message" && !codes_only));
            if let Some(Value::String(message)) = error.get_mut("message") {
                *message = message.chars().take(SHORT_CHARS).collect();
            }
        }
    }
    body.to_string()
}

/// The body of the answer to an enqueue.
#[derive(Serialize)]
struct OneMade<'a> {
    job: Shown<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deduplicated: bool,
}

/// The body of the answer to a batch.
#[derive(Serialize)]
struct AllMade<'a> {
    jobs: Vec<AnyMade<'a>>,
    count: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deduplicated: Vec<usize>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum AnyMade<'a> {
    Whole(Shown<'a>),
    Brief(Brief<'a>),
}

/// The answer to the enqueue of a job, a batch or in bulk, as `operation` says. A batch of more than `max_bytes` comes without what its client
/// has sent.
///
/// # Errors
/// None that can happen.
pub fn made_answer(operation: Operation, items: &[Item<'_>], max_bytes: usize) -> Result<Answer> {
    let made: Vec<(&Job, bool)> = items
        .iter()
        .filter_map(|item| match item {
            Item::Created(job) => Some((*job, false)),
            Item::Duplicate(job) => Some((*job, true)),
            Item::Failed(_) | Item::Skipped => None,
        })
        .collect();
    let body = match (operation, made.first()) {
        (Operation::Job, Some((job, deduplicated))) => {
            serde_json::to_string(&OneMade { job: job.shown(false), deduplicated: *deduplicated })
        }
        (Operation::Batch, _) => {
            let whole = made.iter().map(|(job, _)| job.answer_bytes()).sum::<usize>() <= max_bytes;
            let jobs = made.iter().map(|(job, _)| match whole {
                true => AnyMade::Whole(job.shown(false)),
                false => AnyMade::Brief(job.brief()),
            });
            let there = made.iter().enumerate().filter(|(_, (_, there))| *there).map(|(at, _)| at);
            serde_json::to_string(&AllMade { jobs: jobs.collect(), count: made.len(), deduplicated: there.collect() })
        }
        _ => return Ok(enqueue_answer(items)),
    };
    Ok(Answer { outcome: Outcome::All, count: made.len(), body: body.map_err(Error::internal)? })
}

/// What became of one job of a bulk enqueue.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// It is there.
    Created(&'a Job),
    /// It is a duplicate to be ignored of this one.
    Duplicate(&'a Job),
    /// It cannot be.
    Failed(&'a Error),
    /// It is not, because another one cannot be.
    Skipped,
}

/// The answer to a bulk enqueue (section 5.2), its items in the order of the request.
#[must_use]
pub fn enqueue_answer(items: &[Item<'_>]) -> Answer {
    let succeeded = items.iter().filter(|item| matches!(item, Item::Created(_) | Item::Duplicate(_))).count();
    let failed = items.iter().filter(|item| matches!(item, Item::Failed(_))).count();
    let head = Map::from_iter([
        ("total".to_owned(), Value::from(items.len())),
        ("succeeded".to_owned(), Value::from(succeeded)),
        ("failed".to_owned(), Value::from(failed)),
    ]);
    let shown = items.iter().enumerate().map(|(index, item)| match item {
        Item::Created(job) => json!({"index": index, "status": "created", "job": job.brief()}),
        Item::Duplicate(job) => json!({"index": index, "status": "duplicate", "job": job.brief()}),
        Item::Failed(error) => json!({"index": index, "status": "failed", "error": shown(error)}),
        Item::Skipped => json!({"index": index, "status": "skipped"}),
    });
    Answer::new(Outcome::of(succeeded, items.len()), head, shown.collect())
}

/// What became of one job of a bulk cancel, retry or delete.
#[derive(Debug, Clone)]
pub enum Changed {
    /// What was asked for.
    Done,
    /// Nothing, and why that is no error.
    Skipped(String),
    /// Nothing.
    Failed(Error),
}

/// The answer to a bulk cancel, retry or delete (section 6.2). `truncated`: there are jobs that its filter did not see.
#[must_use]
pub fn change_answer(operation: Operation, items: &[(JobId, Changed)], truncated: bool) -> Answer {
    let done = operation.done();
    let (mut succeeded, mut skipped, mut failed) = (0, 0, 0);
    let mut shown_items = Vec::with_capacity(items.len());
    for (index, (id, changed)) in items.iter().enumerate() {
        let (status, more) = match changed {
            Changed::Done => (done, None),
            Changed::Skipped(reason) => ("skipped", Some(("reason", Value::from(reason.as_str())))),
            Changed::Failed(error) => ("failed", Some(("error", shown(error)))),
        };
        match changed {
            Changed::Done => succeeded += 1,
            Changed::Skipped(_) => skipped += 1,
            Changed::Failed(_) => failed += 1,
        }
        let mut item = json!({"index": index, "job_id": id.as_str(), "status": status});
        if let Some((name, value)) = more {
            item[name] = value;
        }
        shown_items.push(item);
    }
    let mut head = Map::from_iter([
        ("total_matched".to_owned(), Value::from(items.len())),
        (done.to_owned(), Value::from(succeeded)),
        ("skipped".to_owned(), Value::from(skipped)),
        ("failed".to_owned(), Value::from(failed)),
    ]);
    if truncated {
        head.insert("truncated".to_owned(), Value::Bool(true));
    }
    Answer::new(Outcome::of(succeeded, items.len()), head, shown_items)
}

fn shown(error: &Error) -> Value {
    let mut value = json!({
        "code": error.code.as_str(), "message": error.message, "retryable": error.code.is_retryable(),
    });
    if !error.details.is_empty() {
        value["details"] = Value::Object(error.details.clone());
    }
    value
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn what_is_kept_fits_an_item() {
        for (chars, keeps_messages) in [(10, true), (2_000, true)] {
            let error = Error::field(&"f".repeat(chars), "x");
            let answer = enqueue_answer(&vec![Item::Failed(&error); 1_000]);
            let kept = answer.kept();
            assert!(kept.body.len() <= MAX_STORED_BYTES, "{}", kept.body.len());
            let body: Value = serde_json::from_str(&kept.body).unwrap();
            assert_eq!(body["items"][999]["error"]["code"], "invalid_request");
            assert_eq!(body["items"][999]["error"].get("message").is_some(), keeps_messages);
            assert_eq!((kept.outcome, kept.count), (Outcome::Nothing, 1_000));
        }
        let wide = Error::new(ErrorCode::InvalidRequest, "\u{1f600}".repeat(1_000));
        let kept = enqueue_answer(&vec![Item::Failed(&wide); 1_000]).kept();
        assert!(kept.body.len() <= MAX_STORED_BYTES);
        let small = enqueue_answer(&[Item::Skipped]);
        assert_eq!(small.kept(), small);
    }

    #[test]
    fn what_is_sent_fits_an_answer() {
        let error = Error::field(&"\"".repeat(8_000), "x");
        let answer = enqueue_answer(&vec![Item::Failed(&error); 1_000]);
        assert!(escaped_bytes(answer.body.as_bytes()) > 6_000_000);
        let sent = answer.sent(6_000_000);
        assert!(escaped_bytes(sent.body.as_bytes()) <= 6_000_000);
        assert_eq!((sent.outcome, sent.count), (Outcome::Nothing, 1_000));
        let small = enqueue_answer(&[Item::Skipped]);
        assert_eq!(small.sent(6_000_000), small);
    }

    #[test]
    fn outcomes_are_counted() {
        for (succeeded, total, outcome) in
            [(0, 0, Outcome::All), (3, 3, Outcome::All), (1, 3, Outcome::Mixed), (0, 3, Outcome::Nothing)]
        {
            assert_eq!(Outcome::of(succeeded, total), outcome);
        }
    }
}
