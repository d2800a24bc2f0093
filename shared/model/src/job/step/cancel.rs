use super::{Job, Refusal, State};

/// A client cancels the job; a worker that runs it is refused when it answers.
pub(super) fn cancel(mut job: Job, now_ms: i64) -> Result<Job, Refusal> {
    if job.state.is_terminal() {
        return Err(Refusal::State(job.state));
    }
    job.previous_state = Some(job.state);
    job.state = State::Cancelled;
    job.cancelled_at = Some(now_ms);
    job.due_at = None;
    job.in_due_index = false;
    job.end_lease();
    Ok(job)
}
