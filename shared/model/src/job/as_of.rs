//! Time is computed, not swept: what the clock has made of a stored job.
//!
//! A scheduled or retryable job whose time has come is available; an active one whose lease has lapsed is available
//! again, or discarded when its attempts are used up; one past its execution timeout has failed; one past
//! `expires_at` that no worker runs is discarded. Reads, fetches and every transition start from here.

use std::borrow::Cow;

use super::envelope::{Job, Lease};
use super::history::JobError;
use super::state::State;
use super::step::fail;
use crate::time::format_ms;

enum Overdue {
    /// The scheduled or retry time came at this ms.
    Due(i64),
    /// `expires_at` passed at this ms.
    Expired(i64),
    /// The lease lapsed at this ms.
    Lapsed(i64),
    /// The execution timeout passed at this ms.
    TimedOut(i64),
}

fn overdue(job: &Job, now_ms: i64) -> Option<Overdue> {
    let expired = expiry(job).filter(|at| *at <= now_ms);
    match job.state {
        State::Active => {
            let lease = job.lease.as_ref()?;
            (lease.ends_at_ms() <= now_ms).then_some(if lease.deadline_ms <= lease.until_ms {
                Overdue::TimedOut(lease.deadline_ms)
            } else {
                Overdue::Lapsed(lease.until_ms)
            })
        }
        State::Scheduled | State::Retryable | State::Available | State::Pending if expired.is_some() => {
            expired.map(Overdue::Expired)
        }
        State::Scheduled | State::Retryable => job.due_at.filter(|due| *due <= now_ms).map(Overdue::Due),
        _ => None,
    }
}

/// When the job expires: not before it was made, whatever the client says.
fn expiry(job: &Job) -> Option<i64> {
    job.expires_at.as_ref().map(|at| at.at_ms.max(job.created_at))
}

impl Overdue {
    fn apply(self, job: &mut Job) {
        match self {
            Self::Due(at) => {
                job.state = State::Available;
                job.enqueued_at = Some(at);
                job.due_at = None;
                job.in_due_index = false;
            }
            Self::Expired(at) => {
                let dead_letter = job.dead_letter_policy();
                job.discard(at, dead_letter);
            }
            Self::Lapsed(at) => {
                job.note_lapse(at);
                lapse(job, at);
                // The worker did not end it, so nothing it says later can be a repetition.
                job.ended_lease = None;
                job.ended_receipt = None;
            }
            Self::TimedOut(at) => {
                job.note_lapse(at);
                let error = timeout_error(job, at);
                // Retried unless the policy names it (timeouts section 9.1).
                let retryable = !job.retry.is_non_retryable([error.error_type.as_str(), error.code.as_str()]);
                fail::failed(job, error, retryable, at);
                job.ended_lease = None;
                job.ended_receipt = None;
            }
        }
    }
}

/// The worker went silent: the next one may try, unless this was the last attempt (worker protocol section 5.5).
fn lapse(job: &mut Job, at_ms: i64) {
    let error = JobError {
        code: "timeout".to_owned(),
        error_type: "visibility_timeout".to_owned(),
        message: "The lease lapsed without a heartbeat, an ack or a nack.".to_owned(),
        attempt: job.attempt,
        occurred_at: format_ms(at_ms),
        retryable: Some(true),
        timeout_kind: None,
        limit_seconds: job.lease.as_ref().map(|lease| seconds(lease.duration_ms)),
        elapsed_seconds: job.started_at.map(|start| seconds(at_ms - start)),
        details: None,
        backtrace: None,
        truncated: false,
    };
    job.push_error(error);
    if job.retry.is_exhausted(job.counted_attempts()) {
        job.completed_at = Some(at_ms);
        let dead_letter = job.dead_letter_policy();
        job.discard(at_ms, dead_letter);
    } else {
        job.state = State::Available;
        job.enqueued_at = Some(at_ms);
        job.end_lease();
    }
}

fn timeout_error(job: &Job, at_ms: i64) -> JobError {
    JobError {
        code: "timeout".to_owned(),
        error_type: "timeout".to_owned(),
        message: match job.timeout_ms {
            Some(ms) => format!("The attempt ran longer than its execution timeout of {} s.", seconds(ms)),
            None => "The attempt ran longer than its execution timeout.".to_owned(),
        },
        attempt: job.attempt,
        occurred_at: format_ms(at_ms),
        retryable: Some(true),
        timeout_kind: Some("execution".to_owned()),
        limit_seconds: job.timeout_ms.map(seconds),
        elapsed_seconds: job.started_at.map(|start| seconds(at_ms - start)),
        details: None,
        backtrace: None,
        truncated: false,
    }
}

#[allow(clippy::cast_precision_loss)]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

impl Job {
    /// The job as of `now_ms` (ms since the Unix epoch): what the clock has made of it.
    ///
    /// Depends on nothing but its arguments, so every reader finds the same.
    ///
    /// ```
    /// use ojs_model::job::{State, parse_enqueue};
    /// use ojs_model::{Ids, json::Fields};
    ///
    /// let now_ms = 1_700_000_000_000;
    /// let body = br#"{"type": "report.build", "args": [], "options": {"scheduled_at": "+PT1H", "expires_at": "+PT2H"}}"#;
    /// let job = parse_enqueue(Fields::from_body(body)?, now_ms, &Ids::new())?.job;
    /// let state_after = |minutes: i64| job.as_of(now_ms + minutes * 60_000).state;
    /// assert_eq!(state_after(59), State::Scheduled);
    /// assert_eq!(state_after(60), State::Available);
    /// assert_eq!(state_after(120), State::Discarded);
    /// # Ok::<(), ojs_model::Error>(())
    /// ```
    #[must_use]
    pub fn as_of(&self, now_ms: i64) -> Cow<'_, Self> {
        let mut job = Cow::Borrowed(self);
        // Each round moves the job one transition on; a lapsed attempt can lead to a retry that is due as well.
        while let Some(change) = overdue(&job, now_ms) {
            change.apply(job.to_mut());
        }
        job
    }

    /// When the job next needs a look, ms since the Unix epoch; `None` when nothing is to come.
    #[must_use]
    pub fn wakes_at_ms(&self) -> Option<i64> {
        match self.state {
            State::Active => self.lease.as_ref().map(Lease::ends_at_ms),
            State::Scheduled | State::Retryable => self.due_at,
            State::Available => self.enqueued_at,
            _ => None,
        }
    }

    /// Whether `expires_at`, and nothing else, ended the job.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.state == State::Discarded
            && self.completed_at.is_none()
            && self.discarded_at.is_some()
            && self.discarded_at == expiry(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::job::step::tests::{NOW, claimed, job};

    #[test]
    fn a_due_job_is_available_from_its_due_time() {
        let stored = job(r#"{"scheduled_at":"+PT5S"}"#);
        assert_eq!(stored.as_of(NOW + 4_999).state, State::Scheduled);
        let seen = stored.as_of(NOW + 60_000);
        assert_eq!((seen.state, seen.enqueued_at), (State::Available, Some(NOW + 5_000)));
    }

    #[test]
    fn an_expired_job_is_discarded_but_not_completed() {
        let stored = job(r#"{"expires_at":"+PT2S","scheduled_at":"+PT1S"}"#);
        assert_eq!(stored.as_of(NOW + 1_999).state, State::Available);
        let seen = stored.as_of(NOW + 2_000);
        assert_eq!((seen.state, seen.completed_at, seen.is_expired()), (State::Discarded, None, true));
        assert_eq!(seen.discarded_at, Some(NOW + 2_000));
    }

    #[test]
    fn a_job_that_comes_too_late_ends_when_it_is_made() {
        let seen = job(r#"{"expires_at":"2020-01-01T00:00:00Z"}"#).as_of(NOW).into_owned();
        assert_eq!((seen.state, seen.discarded_at, seen.is_expired()), (State::Discarded, Some(NOW), true));
    }

    #[test]
    fn an_active_job_does_not_expire() {
        let stored = claimed(r#"{"expires_at":"+PT2S"}"#);
        assert_eq!(stored.as_of(NOW + 3_000).state, State::Active);
    }

    #[test]
    fn a_lapsed_lease_makes_the_job_available_again_until_attempts_run_out() {
        let seen = claimed("{}").as_of(NOW + 30_000).into_owned();
        assert_eq!((seen.state, seen.attempt), (State::Available, 1));
        assert_eq!(seen.error().unwrap().error_type, "visibility_timeout");
        assert_eq!(seen.enqueued_at, Some(NOW + 30_000));
        let seen =
            claimed(r#"{"retry":{"max_attempts":1,"on_exhaustion":"dead_letter"}}"#).as_of(NOW + 30_000).into_owned();
        assert_eq!((seen.state, seen.dead_letter), (State::Discarded, true));
        assert_eq!(seen.completed_at, Some(NOW + 30_000));
    }

    #[test]
    fn the_earlier_of_lease_and_execution_timeout_counts() {
        let options = r#"{"timeout_ms":2000,"retry":{"jitter":false}}"#;
        let seen = claimed(options).as_of(NOW + 2_500).into_owned();
        assert_eq!((seen.state, seen.due_at), (State::Retryable, Some(NOW + 3_000)));
        assert_eq!(seen.error().unwrap().error_type, "timeout");
        let seen = claimed(options).as_of(NOW + 60_000).into_owned();
        assert_eq!((seen.state, seen.enqueued_at), (State::Available, Some(NOW + 3_000)));
        assert_eq!(seen.errors.len(), 1);
    }

    #[test]
    fn a_policy_can_name_timeouts_as_final() {
        for names in [r#"["timeout"]"#, r#"["x","timeout"]"#] {
            let options = format!(r#"{{"timeout_ms":2000,"retry":{{"non_retryable_errors":{names}}}}}"#);
            let seen = claimed(&options).as_of(NOW + 2_000).into_owned();
            assert_eq!((seen.state, seen.discarded_at), (State::Discarded, Some(NOW + 2_000)));
        }
        let seen = claimed(r#"{"timeout_ms":2000,"retry":{"non_retryable_errors":["timeouts"]}}"#)
            .as_of(NOW + 2_000)
            .into_owned();
        assert_eq!(seen.state, State::Retryable);
        assert!(seen.error().unwrap().message.ends_with("of 2 s."));
    }

    #[test]
    fn looking_twice_changes_nothing() {
        for options in ["{}", r#"{"timeout_ms":2000}"#, r#"{"expires_at":"+PT1S","timeout_ms":500}"#] {
            for after in [0, 1_000, 2_500, 40_000, 90_000_000] {
                let once = claimed(options).as_of(NOW + after).into_owned();
                let twice = once.as_of(NOW + after);
                assert!(matches!(twice, Cow::Borrowed(_)), "{options} +{after}");
            }
        }
    }
}
