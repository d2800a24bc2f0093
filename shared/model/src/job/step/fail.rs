//! What a failed attempt leads to (OJS retry sections 6 and 7).

use crate::job::envelope::{DeadLetter, Job};
use crate::job::history::JobError;
use crate::job::state::State;

/// Ends the attempt of an active job as failed at `at_ms`: another attempt follows, or none.
pub(in crate::job) fn failed(job: &mut Job, error: JobError, retryable: bool, at_ms: i64) {
    job.push_error(error);
    if !retryable || job.retry.is_exhausted(job.counted_attempts()) {
        let dead_letter = job.dead_letter_policy();
        give_up(job, dead_letter, at_ms);
        return;
    }
    let delay_ms = job.retry.delay_ms(&job.id, job.counted_attempts());
    job.state = State::Retryable;
    job.retry_delay_ms = Some(delay_ms);
    job.due_at = Some(at_ms + delay_ms);
    job.end_lease();
}

/// Ends the job for good.
pub(super) fn give_up(job: &mut Job, dead_letter: DeadLetter, at_ms: i64) {
    job.completed_at = Some(at_ms);
    job.discard(at_ms, dead_letter);
}
