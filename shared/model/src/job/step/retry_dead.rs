use super::{Job, Refusal, State};

/// An operator retries a dead letter: available, attempts start over, the history stays (dead letter section 6.1).
pub(super) fn retry_dead(job: Job, now_ms: i64) -> Result<Job, Refusal> {
    if job.state != State::Discarded || !job.dead_letter {
        // The first request took effect and its answer was lost.
        let repeated = job.retried_at.is_some() && !job.state.is_terminal();
        return Err(if repeated { Refusal::Repeated } else { Refusal::State(job.state) });
    }
    Ok(again(job, now_ms))
}

/// A discarded job's next life.
pub(super) fn again(mut job: Job, now_ms: i64) -> Job {
    job.state = State::Available;
    job.attempt = 0;
    job.requeues = 0;
    job.enqueued_at = Some(now_ms);
    job.retried_at = Some(now_ms);
    job.started_at = None;
    job.completed_at = None;
    job.discarded_at = None;
    job.retry_delay_ms = None;
    job.ended_lease = None;
    job.ended_receipt = None;
    job.past_errors = job.errors.len();
    job.dead_letter = false;
    // An expiry that has passed would discard it again on the spot; the operator has overruled it.
    if job.expires_at.as_ref().is_some_and(|at| at.at_ms <= now_ms) {
        job.expires_at = None;
    }
    job
}
