use super::retry_dead::again;
use super::{Job, Refusal, State};

/// An operator does not wait, or does not give up (bulk operations section 7): a job that waits for its next attempt has
/// it now; a discarded one starts over, whether it is a dead letter or not.
pub(super) fn retry(mut job: Job, now_ms: i64) -> Result<Job, Refusal> {
    match job.state {
        State::Discarded => Ok(again(job, now_ms)),
        State::Retryable => {
            job.state = State::Available;
            job.enqueued_at = Some(now_ms);
            job.retried_at = Some(now_ms);
            job.due_at = None;
            job.in_due_index = false;
            Ok(job)
        }
        state => Err(Refusal::State(state)),
    }
}
