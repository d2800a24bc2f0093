use super::{Job, Refusal, State};

/// A client activates a pending job: available, or scheduled when its time is still to come (HTTP binding section 9.5).
pub(super) fn activate(mut job: Job, now_ms: i64) -> Result<Job, Refusal> {
    if job.state != State::Pending {
        return Err(Refusal::State(job.state));
    }
    job.previous_state = Some(State::Pending);
    job.activated_at = Some(now_ms);
    job.enqueued_at = Some(now_ms);
    job.due_at = job.scheduled_at.as_ref().map(|at| at.at_ms).filter(|at| *at > now_ms);
    job.state = if job.due_at.is_some() { State::Scheduled } else { State::Available };
    Ok(job)
}
