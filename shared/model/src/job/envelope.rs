//! The job itself: what the client gave, what the server knows, and how it is shown.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::cron_origin::CronOrigin;
use super::history::{JobError, MAX_HISTORY};
use super::lapsed::Lapsed;
use super::retry::{OnExhaustion, RetryPolicy};
use super::state::State;
use super::step::Holder;
use super::unique::{UniqueKey, UniquePolicy};
use super::{Keep, MemberOf, Parents, QueueRetention};
use crate::ids::JobId;
use crate::json::{Json, escaped_bytes};
use crate::limit::RateLimitPolicy;
use crate::time::{Moment, format_ms};

/// How a job waits for a rate limit without a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The limit's key.
    pub limit: String,
    /// From when on its message may be sent where the limit has room, ms since the Unix epoch: since when it waits, and
    /// once the message was sent, when it may be sent again.
    pub send_at_ms: i64,
    /// How long after the next time that its message is sent it may be sent again, ms; `None` before the first time.
    pub gap_ms: Option<i64>,
}

/// An SQS message in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// SQS's receipt handle.
    pub handle: String,
    /// Priority tier of the SQS queue that it came from.
    pub tier: i64,
}

/// A worker's hold on one attempt of a job (I2, I3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The worker that fetched, if it said its name.
    pub worker: Option<String>,
    /// The fencing token handed out with the job.
    pub token: String,
    /// When the hold lapses, ms since the Unix epoch.
    pub until_ms: i64,
    /// How long one hold or extension lasts, ms.
    pub duration_ms: i64,
    /// When the attempt runs out of its execution timeout, ms since the Unix epoch.
    pub deadline_ms: i64,
    /// The SQS message that delivered the job.
    pub receipt: Option<Receipt>,
}

impl Lease {
    /// The time at which the attempt ends by itself, ms since the Unix epoch.
    #[must_use]
    pub fn ends_at_ms(&self) -> i64 {
        self.until_ms.min(self.deadline_ms)
    }
}

/// How long terminal jobs are kept, in s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Completed and cancelled jobs.
    pub completed_s: i64,
    /// Discarded jobs, dead letters among them.
    pub discarded_s: i64,
}

/// Whether a discarded job is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetter {
    /// Listed, and can be retried by hand.
    Listed,
    /// Not a dead letter.
    No,
}

/// A job to be stored.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The job in its first state.
    pub job: Job,
    /// Whether the client chose the id: then the put can be refused, and must come before the send.
    pub client_id: bool,
    /// The policy of a unique job.
    pub unique: Option<UniquePolicy>,
}

/// A job: its envelope, its state and its history. Times are ms since the Unix epoch.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // the fields not documented here are the OJS fields of the same name (core section 5)
pub struct Job {
    pub id: JobId,
    pub job_type: String,
    pub queue: String,
    /// A JSON array, as the text that came in.
    pub args: Json,
    /// A JSON object, as the text that came in.
    pub meta: Option<Json>,
    pub priority: i64,
    pub tags: Option<Json>,
    pub schema: Option<String>,
    /// Execution timeout of one attempt, ms.
    pub timeout_ms: Option<i64>,
    /// The lease's length unless the fetch asks for another, ms.
    pub visibility_timeout_ms: Option<i64>,
    /// The effective policy.
    pub retry: RetryPolicy,
    /// The policy as the client gave it.
    pub retry_given: Option<Json>,
    pub unique: Option<Json>,
    /// The fingerprint that its duplicates share, if it is a unique job.
    pub unique_key: Option<UniqueKey>,
    pub rate_limit: Option<Json>,
    /// The same, read.
    pub limit: Option<RateLimitPolicy>,
    /// The rate limits a slot of which the job took when it was claimed last.
    pub holds: Vec<String>,
    /// Top-level fields we do not know, as one JSON object; preserved and shown (core section 5.2).
    pub extra: Option<Json>,

    /// Counts the writes; every write that was computed from a read is conditional on it.
    pub revision: u64,
    /// Marks the call that wrote the job last, to tell its own SDK retry from another call (I5).
    pub nonce: Option<u64>,

    pub state: State,
    pub created_at: i64,
    pub enqueued_at: Option<i64>,
    pub scheduled_at: Option<Moment>,
    pub expires_at: Option<Moment>,
    /// When a scheduled or retryable job becomes available.
    pub due_at: Option<i64>,
    /// Whether the due index, and not a message, will bring the job back: at `due_at`, or at its expiry.
    pub in_due_index: bool,
    /// Set while it waits for a rate limit without a message.
    pub parked: Option<Parked>,
    pub attempt: u32,
    /// How many attempts workers returned unfinished (nack with `requeue`): they do not count against `max_attempts`.
    pub requeues: u32,
    pub started_at: Option<i64>,
    /// Present exactly while the state is active.
    pub lease: Option<Lease>,
    /// The token of the last lease that ended, to recognise a repeated ack or nack (I5).
    pub ended_lease: Option<String>,
    /// The message of the last lease that ended, kept on FIFO queues: its group waits until a request deletes it or hides it for
    /// the right time.
    pub ended_receipt: Option<Receipt>,
    /// Its leases that have lapsed, one a worker.
    pub lapsed: Vec<Lapsed>,
    pub errors: Vec<JobError>,
    /// How many of the errors belong to the life before a manual retry.
    pub past_errors: usize,
    pub retry_delay_ms: Option<i64>,
    pub result: Option<Json>,
    pub completed_at: Option<i64>,
    pub cancelled_at: Option<i64>,
    pub discarded_at: Option<i64>,
    pub activated_at: Option<i64>,
    /// When an operator last retried the dead letter.
    pub retried_at: Option<i64>,
    pub previous_state: Option<State>,
    pub dead_letter: bool,

    /// The message group that its `meta.message_group_id` asks for.
    pub group: Option<String>,

    /// How long its queue wants it to be kept once it has ended, since it was claimed last.
    pub retention: QueueRetention,
    /// The step of a workflow that it is.
    pub member_of: Option<MemberOf>,
    /// When its worker was asked to stop, because its workflow was cancelled.
    pub cancel_requested_at: Option<i64>,
    /// Whose results it gets (workflows section 7).
    pub parents: Option<Parents>,
    /// These results, a JSON array; not stored with it, but read where it is fetched or shown by itself.
    pub parent_results: Option<Json>,
    /// Whether its result is kept for later steps.
    pub keeps_result: Keep,
    /// The batch that it came with, until it is claimed: a job of a batch that is not committed is not there.
    pub batch: Option<JobId>,
    /// The cron job's occurrence that made it.
    pub cron: Option<CronOrigin>,
    /// The job that must have ended before this one may be claimed (cron overlap policy `enqueue`).
    pub waits_for: Option<JobId>,
    /// The job that waits for this one, as the body of the message that is sent for it when this one ends.
    pub successor: Option<String>,
}

impl Job {
    /// A job that is available as of `now_ms` (ms since the Unix epoch), with the defaults of every option.
    #[must_use]
    pub fn new(id: JobId, job_type: String, queue: String, args: Json, now_ms: i64) -> Self {
        Self {
            id,
            job_type,
            queue,
            args,
            meta: None,
            priority: 0,
            tags: None,
            schema: None,
            timeout_ms: None,
            visibility_timeout_ms: None,
            retry: RetryPolicy::default(),
            retry_given: None,
            unique: None,
            unique_key: None,
            rate_limit: None,
            limit: None,
            holds: Vec::new(),
            extra: None,
            revision: 0,
            nonce: None,
            state: State::Available,
            created_at: now_ms,
            enqueued_at: Some(now_ms),
            scheduled_at: None,
            expires_at: None,
            due_at: None,
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
            group: None,
            retention: QueueRetention::default(),
            member_of: None,
            parents: None,
            parent_results: None,
            keeps_result: super::Keep::Never,
            cancel_requested_at: None,
            batch: None,
            cron: None,
            waits_for: None,
            successor: None,
        }
    }

    /// The last error of the present life; a completed job has none.
    #[must_use]
    pub fn error(&self) -> Option<&JobError> {
        if self.state == State::Completed || self.errors.len() <= self.past_errors { None } else { self.errors.last() }
    }

    /// Attempts that count against `max_attempts`: all but those that workers returned unfinished.
    #[must_use]
    pub fn counted_attempts(&self) -> u32 {
        self.attempt.saturating_sub(self.requeues)
    }

    /// When the job ended, ms since the Unix epoch; `None` for one that has not.
    #[must_use]
    pub fn ended_at(&self) -> Option<i64> {
        match self.state {
            State::Completed => self.completed_at,
            State::Cancelled => self.cancelled_at,
            State::Discarded => self.discarded_at,
            _ => None,
        }
    }

    /// Adds an error to the history; the oldest make room.
    pub fn push_error(&mut self, error: JobError) {
        self.errors.push(error);
        while self.errors.len() > MAX_HISTORY {
            self.forget_oldest_error();
        }
    }

    /// Drops the oldest error; the last one stays. Returns whether there was one to drop.
    pub fn forget_oldest_error(&mut self) -> bool {
        if self.errors.len() < 2 {
            return false;
        }
        self.errors.remove(0);
        self.past_errors = self.past_errors.saturating_sub(1);
        true
    }

    /// Bytes of the parts that the client chose.
    #[must_use]
    pub fn envelope_bytes(&self) -> usize {
        let text = |v: &Option<Json>| v.as_ref().map_or(0, |v| v.get().len());
        self.job_type.len()
            + self.queue.len()
            + self.args.get().len()
            + self.schema.as_ref().map_or(0, String::len)
            + [&self.meta, &self.tags, &self.retry_given, &self.unique, &self.rate_limit, &self.extra]
                .into_iter()
                .map(text)
                .sum::<usize>()
    }

    /// Bytes that the job takes in an answer, with its lease, as [`escaped_bytes`] counts.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        // And a comma.
        serde_json::to_vec(&self.shown(true)).map_or(usize::MAX / 2, |text| escaped_bytes(&text) + 1)
    }

    /// The policy of a unique job.
    ///
    /// # Errors
    /// `invalid_request` when it cannot be read, which it could when the job was made.
    pub fn unique_policy(&self) -> crate::error::Result<Option<UniquePolicy>> {
        self.unique.as_ref().map(|given| UniquePolicy::parse("options.unique", given)).transpose()
    }

    /// Puts the job into `discarded`, as of `at_ms`.
    pub fn discard(&mut self, at_ms: i64, dead_letter: DeadLetter) {
        self.state = State::Discarded;
        self.discarded_at = Some(at_ms);
        self.dead_letter = dead_letter == DeadLetter::Listed;
        self.due_at = None;
        self.in_due_index = false;
        self.end_lease();
    }

    /// Whether exhaustion makes this job a dead letter.
    pub fn dead_letter_policy(&self) -> DeadLetter {
        match self.retry.on_exhaustion {
            OnExhaustion::DeadLetter => DeadLetter::Listed,
            OnExhaustion::Discard => DeadLetter::No,
        }
    }

    /// Ends the lease, remembering its token and its message.
    pub fn end_lease(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.ended_lease = Some(lease.token);
            self.ended_receipt = lease.receipt;
        }
    }

    /// Remembers the ended lease's token only if the holder that acked named it: an ack without a token may be an earlier
    /// worker's, and the token's owner must then be told that its result was not taken.
    pub fn remember_ender(&mut self, holder: &Holder) {
        if holder.token.is_none() {
            self.ended_lease = None;
        }
    }

    /// What OJS shows of this job where there is no room for all of it (bulk operations section 5.2).
    #[must_use]
    pub fn brief(&self) -> Brief<'_> {
        Brief(self)
    }

    /// The JSON that OJS shows of this job (core section 5, JSON format section 6).
    ///
    /// With `lease`, also the token and end of the worker's lease.
    #[must_use]
    pub fn shown(&self, lease: bool) -> Shown<'_> {
        Shown { job: self, lease }
    }
}

/// A job on the wire, without what its client sent.
#[derive(Debug, Clone, Copy)]
pub struct Brief<'a>(&'a Job);

impl Serialize for Brief<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(job) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", job.id.as_str())?;
        map.serialize_entry("type", &job.job_type)?;
        map.serialize_entry("queue", &job.queue)?;
        map.serialize_entry("priority", &job.priority)?;
        map.serialize_entry("state", job.state.as_str())?;
        map.serialize_entry("attempt", &job.attempt)?;
        map.serialize_entry("created_at", &format_ms(job.created_at))?;
        if let Some(at) = &job.scheduled_at {
            map.serialize_entry("scheduled_at", &at.to_wire())?;
        }
        map.end()
    }
}

/// A job on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    job: &'a Job,
    lease: bool,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let job = self.job;
        let mut map = serializer.serialize_map(None)?;
        macro_rules! put {
            ($name:literal, $value:expr) => {
                map.serialize_entry($name, &$value)?
            };
        }
        macro_rules! put_some {
            ($name:literal, $value:expr) => {
                if let Some(value) = $value {
                    map.serialize_entry($name, &value)?
                }
            };
        }
        put!("specversion", "1.0");
        put!("id", job.id.as_str());
        put!("type", job.job_type);
        put!("queue", job.queue);
        put!("args", job.args);
        match &job.meta {
            Some(meta) => put!("meta", meta),
            None => put!("meta", serde_json::Map::new()),
        }
        put!("priority", job.priority);
        put!("state", job.state.as_str());
        put!("attempt", job.attempt);
        put!("max_attempts", job.retry.max_attempts);
        put_some!("tags", &job.tags);
        put_some!("schema", &job.schema);
        put_some!("timeout_ms", job.timeout_ms);
        put_some!("visibility_timeout_ms", job.visibility_timeout_ms);
        put_some!("retry", &job.retry_given);
        put_some!("unique", &job.unique);
        put_some!("rate_limit", &job.rate_limit);
        put!("created_at", format_ms(job.created_at));
        put_some!("enqueued_at", job.enqueued_at.map(format_ms));
        put_some!("scheduled_at", job.scheduled_at.as_ref().map(Moment::to_wire));
        put_some!("expires_at", job.expires_at.as_ref().map(Moment::to_wire));
        put_some!("activated_at", job.activated_at.map(format_ms));
        put_some!("started_at", job.started_at.map(format_ms));
        if job.state == State::Retryable {
            put_some!("next_attempt_at", job.due_at.map(format_ms));
        }
        put_some!("retry_delay_ms", job.retry_delay_ms);
        put_some!("completed_at", job.completed_at.map(format_ms));
        put_some!("cancelled_at", job.cancelled_at.map(format_ms));
        put_some!("discarded_at", job.discarded_at.map(format_ms));
        put_some!("retried_at", job.retried_at.map(format_ms));
        put_some!("previous_state", job.previous_state.map(State::as_str));
        put_some!("error", job.error());
        if !job.errors.is_empty() {
            put!("errors", job.errors);
        }
        put_some!("result", &job.result);
        put_some!("workflow_id", job.member_of.as_ref().map(|member| member.workflow.as_str()));
        put_some!("parent_results", &job.parent_results);
        put_some!("cancel_requested_at", job.cancel_requested_at.map(format_ms));
        if let Some(lease) = &job.lease {
            put_some!("worker_id", &lease.worker);
            if self.lease {
                put!("lease_token", lease.token);
                put!("lease_expires_at", format_ms(lease.ends_at_ms()));
            }
        }
        if let Some(extra) = &job.extra {
            let extra: std::collections::BTreeMap<String, &RawValue> =
                serde_json::from_str(extra.get()).map_err(serde::ser::Error::custom)?;
            for (name, value) in extra {
                map.serialize_entry(&name, value)?;
            }
        }
        map.end()
    }
}
