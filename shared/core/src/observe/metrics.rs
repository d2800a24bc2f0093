//! Counters and histograms, by the names of the OJS observability specification (section 8) where it has one. They go to the
//! recorder that the process has installed with the `metrics` crate; until [`enable`] is called they cost nothing.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use metrics::{counter, histogram};

use ojs_model::job::{Job, State};

/// Jobs enqueued, by any way in.
pub const JOB_ENQUEUED: &str = "ojs.job.enqueued";
/// Attempts that a worker got.
pub const JOB_STARTED: &str = "ojs.job.started";
/// Jobs that completed.
pub const JOB_COMPLETED: &str = "ojs.job.completed";
/// Jobs that were discarded.
pub const JOB_FAILED: &str = "ojs.job.failed";
/// Attempts that failed and are followed by another one.
pub const JOB_RETRIED: &str = "ojs.job.retried";
/// Jobs that were cancelled.
pub const JOB_CANCELLED: &str = "ojs.job.cancelled";
/// Jobs that were discarded because their time was over; they count as failed, too.
pub const JOB_EXPIRED: &str = "ojs.job.expired";
/// From the last attempt's start to the job's end, s.
pub const JOB_DURATION: &str = "ojs.job.duration";
/// From the enqueue to the first attempt's start, s.
pub const JOB_QUEUE_TIME: &str = "ojs.job.queue_time";
/// From when the first attempt could start (the enqueue, or the time it was scheduled for) to its start, s.
pub const JOB_START_LATENCY: &str = "ojs.job.start_latency";
/// Tries of AWS calls, by `service`, `operation` and `outcome` (`ok`, `refused`, `throttled`, `error`).
pub const AWS_CALLS: &str = "ojs.aws.calls";
/// Write units that DynamoDB says it took, thousandths.
pub const AWS_WRITE_UNITS: &str = "ojs.aws.write_milliunits";
/// Read units that DynamoDB says it took, thousandths.
pub const AWS_READ_UNITS: &str = "ojs.aws.read_milliunits";
/// What the calls cost on demand in us-east-1, 10⁻⁹ USD: an estimate.
pub const AWS_COST: &str = "ojs.aws.cost_nanodollars";
/// Answers to requests, s, by `method`, `route` and `status`.
pub const HTTP_DURATION: &str = "http.server.request.duration";
/// Jobs whose message the audit sent again.
pub const AUDIT_RESENT: &str = "ojs.audit.resent";
/// Jobs that the clock had ended, which the audit wrote down.
pub const AUDIT_ENDED: &str = "ojs.audit.ended";
/// Jobs in a queue, by `queue` and `state`.
pub const QUEUE_DEPTH: &str = "ojs.queue.depth";

/// Most different queues, and most different job types, that are named; clients choose both.
const MAX_NAMES: usize = 200;

static ENABLED: AtomicBool = AtomicBool::new(false);
static NAMES: Mutex<Option<HashSet<(bool, String)>>> = Mutex::new(None);

/// From now on numbers are recorded. To be called once a recorder is installed.
pub fn enable() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// Whether metrics are on.
#[must_use]
pub fn enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// A queue's or job type's name as a label: bounded, because each makes a time series that stays.
fn bounded(is_queue: bool, name: &str) -> String {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    let known = (is_queue, name.to_owned());
    if names.contains(&known) {
        return known.1;
    }
    if names.iter().filter(|(queue, _)| *queue == is_queue).count() >= MAX_NAMES {
        return "other".to_owned();
    }
    names.insert(known.clone());
    known.1
}

/// A job's labels.
fn labels(job: &Job) -> [(&'static str, String); 2] {
    [("queue", bounded(true, &job.queue)), ("type", bounded(false, &job.job_type))]
}

fn count(name: &'static str, job: &Job) {
    counter!(name, &labels(job)).increment(1);
}

fn seconds(ms: i64) -> f64 {
    // Exact up to some hundred thousand years.
    #[allow(clippy::cast_precision_loss)]
    let ms = ms.max(0) as f64;
    ms / 1_000.0
}

/// A job was enqueued.
pub(crate) fn job_enqueued(job: &Job) {
    if enabled() {
        count(JOB_ENQUEUED, job);
    }
}

/// A worker got a job, at `now_ms`.
pub(crate) fn job_started(job: &Job, now_ms: i64) {
    if !enabled() {
        return;
    }
    let labels = labels(job);
    counter!(JOB_STARTED, &labels).increment(1);
    if let (1, Some(enqueued)) = (job.attempt, job.enqueued_at) {
        histogram!(JOB_QUEUE_TIME, &labels).record(seconds(now_ms - enqueued));
        let could_at = job.scheduled_at.as_ref().map_or(enqueued, |at| at.at_ms.max(enqueued));
        histogram!(JOB_START_LATENCY, &labels).record(seconds(now_ms - could_at));
    }
}

/// An attempt failed, and the job will have another one.
pub(crate) fn job_retried(job: &Job) {
    if enabled() {
        count(JOB_RETRIED, job);
    }
}

/// The audit sent messages again and wrote ends down.
pub(crate) fn audited(resent: usize, ended: usize) {
    for (name, count) in [(AUDIT_RESENT, resent), (AUDIT_ENDED, ended)] {
        if enabled() && count > 0 {
            counter!(name).increment(count as u64);
        }
    }
}

/// A job has ended.
pub(crate) fn job_ended(job: &Job) {
    if !enabled() {
        return;
    }
    match job.state {
        State::Completed => count(JOB_COMPLETED, job),
        State::Discarded => count(JOB_FAILED, job),
        State::Cancelled => count(JOB_CANCELLED, job),
        _ => return,
    }
    if job.state == State::Discarded && job.is_expired() {
        count(JOB_EXPIRED, job);
    }
    // What waits between two attempts has not run until its end.
    let ran = job.state == State::Completed || job.previous_state == Some(State::Active);
    if let (true, Some(started), Some(ended)) = (ran, job.started_at, job.ended_at()) {
        let (queue, kind) = (bounded(true, &job.queue), bounded(false, &job.job_type));
        histogram!(JOB_DURATION, "queue" => queue, "type" => kind, "state" => job.state.as_str())
            .record(seconds(ended - started));
    }
}
