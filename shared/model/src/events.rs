//! The events of a job's life, read off the job itself (OJS events sections 2 and 5), those of a cron job and of a queue.
//!
//! Nothing is written for an event: the cost of a feed of its own would be a write unit per transition. What the job no
//! longer remembers (the starts of earlier attempts) is not in the feed.

use serde_json::{Map, Value, json};

use crate::cron::Cron;
use crate::job::{Job, State};
use crate::queue::QueueState;
use crate::time::parse_rfc3339;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEvent {
    /// `evt_<uuidv7>`: made of time, job and kind, so that it is the same for every reader, and sorts by time.
    pub id: String,
    /// Such as `job.completed`.
    pub kind: &'static str,
    /// ms since the Unix epoch.
    pub at_ms: i64,
    /// The job, the cron job or the queue that it is about.
    pub subject: String,
    /// Job type, queue, and what belongs to the kind.
    pub data: Map<String, Value>,
}

/// The event types a feed can hold, in the order in which they can follow each other.
pub const EVENT_TYPES: [&str; 13] = [
    "cron.triggered",
    "cron.skipped",
    "job.scheduled",
    "job.enqueued",
    "job.started",
    "job.failed",
    "job.retrying",
    "job.completed",
    "job.discarded",
    "job.cancelled",
    "job.expired",
    "queue.paused",
    "queue.resumed",
];

/// The events of a settled job, oldest first.
#[must_use]
pub fn events(job: &Job) -> Vec<JobEvent> {
    let mut events = Vec::new();
    let mut add = |kind: &'static str, at_ms: i64, attempt: u32, data: Value| {
        let mut all = Map::from_iter([
            ("job_id".to_owned(), json!(job.id.as_str())),
            ("job_type".to_owned(), json!(job.job_type)),
            ("queue".to_owned(), json!(job.queue)),
        ]);
        if let Value::Object(data) = data {
            all.extend(data);
        }
        let id = event_id(job.id.as_str(), kind, at_ms, attempt);
        events.push(JobEvent { id, kind, at_ms, subject: job.id.as_str().to_owned(), data: all });
    };
    if let Some(origin) = &job.cron {
        let due = crate::time::format_ms(origin.at_ms);
        let data = json!({
            "cron_name": origin.name, "cron_expr": origin.expression, "cron_expression": origin.expression,
            "timezone": origin.timezone, "run_count": origin.run, "scheduled_at": due, "scheduled_time": due,
            "actual_time": crate::time::format_ms(job.created_at),
        });
        add("cron.triggered", job.created_at, 0, data);
    }
    if let Some(at) = job.scheduled_at.as_ref().filter(|at| at.at_ms > job.created_at) {
        add("job.scheduled", job.created_at, 0, json!({"scheduled_at": at.to_wire()}));
    } else if job.enqueued_at.is_some() {
        add("job.enqueued", job.activated_at.unwrap_or(job.created_at), 0, json!({}));
    }
    for error in &job.errors {
        if let Some(at) = parse_rfc3339(&error.occurred_at) {
            let error_data = json!({"code": error.code, "type": error.error_type, "message": error.message});
            add("job.failed", at, error.attempt, json!({"attempt": error.attempt, "error": error_data}));
        }
    }
    if let Some(at) = job.started_at {
        add("job.started", at, job.attempt, json!({"attempt": job.attempt}));
    }
    let attempt = job.attempt;
    let duration = |end: i64| job.started_at.map(|start| end - start);
    match job.state {
        State::Completed => {
            let at = job.completed_at.unwrap_or(job.created_at);
            add("job.completed", at, attempt, json!({"attempt": attempt, "duration_ms": duration(at).unwrap_or(0)}));
        }
        State::Cancelled => {
            let at = job.cancelled_at.unwrap_or(job.created_at);
            add("job.cancelled", at, attempt, json!({"previous_state": job.previous_state.map(State::as_str)}));
        }
        State::Discarded => {
            let at = job.discarded_at.unwrap_or(job.created_at);
            let kind = if job.is_expired() { "job.expired" } else { "job.discarded" };
            add(kind, at, attempt, json!({"attempt": attempt, "dead_letter": job.dead_letter}));
        }
        State::Retryable => {
            if let (Some(due), Some(delay)) = (job.due_at, job.retry_delay_ms) {
                let data = json!({"attempt": attempt, "retry_delay_ms": delay, "next_attempt_at": crate::time::format_ms(due)});
                add("job.retrying", due - delay, attempt, data);
            }
        }
        State::Scheduled | State::Available | State::Pending | State::Active => {}
    }
    for event in events.iter_mut().filter(|event| event.kind == "cron.triggered") {
        event.subject = job.cron.as_ref().map(|origin| origin.name.clone()).unwrap_or_default();
    }
    events.sort_by(|a, b| (a.at_ms, &a.id).cmp(&(b.at_ms, &b.id)));
    events
}

/// The occurrences of a cron job that made no job, as far as it remembers them, up to `now_ms`; oldest first.
#[must_use]
pub fn skips(cron: &Cron, now_ms: i64) -> Vec<JobEvent> {
    let definition = &cron.definition;
    // Told when it was found out, or a reader who has got further than its nominal time would miss it.
    let past = cron.skips.iter().map(|skip| (skip, skip.noted_ms.max(skip.at_ms))).filter(|(_, told)| *told <= now_ms);
    past.map(|(skip, at_ms)| {
        let (kind, due) = ("cron.skipped", crate::time::format_ms(skip.at_ms));
        let mut data = Map::from_iter([
            ("cron_name".to_owned(), json!(definition.name)),
            ("cron_expr".to_owned(), json!(definition.expression)),
            ("cron_expression".to_owned(), json!(definition.expression)),
            ("timezone".to_owned(), json!(definition.timezone)),
            ("job_type".to_owned(), json!(definition.template.job_type)),
            ("queue".to_owned(), json!(definition.template.queue)),
            ("reason".to_owned(), json!(skip.reason.as_str())),
            ("scheduled_at".to_owned(), json!(due)),
            ("scheduled_time".to_owned(), json!(due)),
        ]);
        if let Some(job) = &skip.job {
            data.insert("existing_job_id".to_owned(), json!(job));
            data.insert("active_job_id".to_owned(), json!(job));
        }
        let id = event_id(&format!("{} {}", definition.name, skip.at_ms), kind, at_ms, skip.reason as u32);
        JobEvent { id, kind, at_ms, subject: definition.name.clone(), data }
    })
    .collect()
}

/// A queue's last pause and its last resumption, oldest first.
#[must_use]
pub fn pauses(queue: &str, state: &QueueState) -> Vec<JobEvent> {
    let times = [("queue.paused", state.last_paused_at), ("queue.resumed", state.resumed_at)];
    let mut events: Vec<_> = times
        .into_iter()
        .filter_map(|(kind, at)| {
            let at_ms = at?;
            let data = Map::from_iter([("queue".to_owned(), json!(queue))]);
            Some(JobEvent { id: event_id(queue, kind, at_ms, 0), kind, at_ms, subject: queue.to_owned(), data })
        })
        .collect();
    events.sort_by_key(|event| event.at_ms);
    events
}

/// A UUIDv7 of the event's time whose other bits are drawn from what the event is.
fn event_id(subject: &str, kind: &str, at_ms: i64, attempt: u32) -> String {
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for b in subject.bytes().chain(kind.bytes()).chain(attempt.to_le_bytes()) {
        hash = (hash ^ u128::from(b)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
    }
    let mut random = [0; 10];
    random.copy_from_slice(&hash.to_be_bytes()[..10]);
    // What follows from what within one ms: the version takes the other half of this byte.
    random[0] = EVENT_TYPES.iter().position(|known| *known == kind).map_or(15, |rank| u8::try_from(rank).unwrap_or(15));
    let uuid = uuid::Builder::from_unix_timestamp_millis(u64::try_from(at_ms).unwrap_or(0), &random).into_uuid();
    format!("evt_{}", uuid.hyphenated())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::JobId;
    use crate::job::step::tests::{NOW, claimed, job};
    use crate::job::{Event, Holder, step};

    fn kinds(job: &Job) -> Vec<&'static str> {
        events(job).into_iter().map(|e| e.kind).collect()
    }

    #[test]
    fn a_life_leaves_its_events() {
        assert_eq!(kinds(&job("{}")), ["job.enqueued"]);
        assert_eq!(kinds(&job(r#"{"scheduled_at":"+PT1H"}"#)), ["job.scheduled"]);
        let ack = Event::Ack { holder: Holder::default(), result: None };
        let done = step(&claimed("{}"), ack, NOW + 7).unwrap().job;
        assert_eq!(kinds(&done), ["job.enqueued", "job.started", "job.completed"]);
        let completed = events(&done).pop().unwrap();
        assert_eq!(completed.data["duration_ms"], 7);
        assert_eq!(completed.data["attempt"], 1);
        let expired = job(r#"{"expires_at":"+PT1S"}"#);
        assert_eq!(kinds(&expired.as_of(NOW + 1_000)), ["job.enqueued", "job.expired"]);
        let lapsed = claimed(r#"{"timeout_ms":500}"#).as_of(NOW + 600).into_owned();
        assert_eq!(kinds(&lapsed), ["job.enqueued", "job.started", "job.failed", "job.retrying"]);
    }

    #[test]
    fn ids_are_stable_uuids_that_sort_by_time() {
        let done = claimed("{}");
        let ids: Vec<_> = events(&done).into_iter().map(|e| e.id).collect();
        assert_eq!(ids, events(&done).into_iter().map(|e| e.id).collect::<Vec<_>>());
        assert!(ids.iter().all(|id| JobId::parse(id.strip_prefix("evt_").unwrap()).is_some()));
        let late = job(r#"{"expires_at":"+PT1S"}"#).as_of(NOW + 1_000).into_owned();
        let late = events(&late);
        assert!(late[0].id < late[1].id);
    }
}
