use super::envelope::{DeadLetter, Job};
use super::history::JobError;
use super::state::State;
use crate::time::Moment;
use crate::time::format_ms;

/// What a job that its rate limit keeps from starting becomes, where its policy does not let it wait (rate limiting
/// section 6.2).
impl Job {
    /// Who holds a slot of a rate limit's concurrency while the job is active for this attempt.
    #[must_use]
    pub fn holder(&self, attempt: u32) -> String {
        // A job that is retried by hand counts its attempts anew.
        match self.retried_at {
            Some(at) => format!("{}#{attempt}.{at}", self.id),
            None => format!("{}#{attempt}", self.id),
        }
    }

    /// Scheduled for when the limit is expected to let it start, ms since the Unix epoch.
    pub fn reschedule(&mut self, at_ms: i64) {
        self.state = State::Scheduled;
        self.scheduled_at = Some(Moment::at(at_ms));
        self.due_at = Some(at_ms);
    }

    /// Discarded as of `at_ms`: its client would rather lose it than have it late.
    pub fn drop_for_limit(&mut self, key: &str, at_ms: i64) {
        self.push_error(JobError {
            code: "rate_limited".to_owned(),
            error_type: "rate_limit".to_owned(),
            message: format!("The rate limit '{key}' was reached, and the job was to be dropped then."),
            attempt: self.attempt,
            occurred_at: format_ms(at_ms),
            retryable: Some(false),
            timeout_kind: None,
            limit_seconds: None,
            elapsed_seconds: None,
            details: None,
            backtrace: None,
            truncated: false,
        });
        self.discard(at_ms, DeadLetter::No);
    }
}
