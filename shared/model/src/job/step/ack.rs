use super::{Holder, Job, Json, Refusal, State, held};

/// The worker is done: completed, the error of earlier attempts no longer shown.
pub(super) fn ack(mut job: Job, holder: &Holder, result: Option<Json>, now_ms: i64) -> Result<Job, Refusal> {
    held(&job, holder, now_ms).map_err(|refusal| match refusal {
        // The token ended with a nack or a cancel: that is not this ack, come twice.
        Refusal::Repeated if job.state != State::Completed => Refusal::State(job.state),
        other => other,
    })?;
    job.state = State::Completed;
    job.completed_at = Some(now_ms);
    job.result = result;
    job.end_lease();
    job.remember_ender(holder);
    Ok(job)
}
