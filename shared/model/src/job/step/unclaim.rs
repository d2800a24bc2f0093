use super::{Job, Refusal, State};

/// The worker has never seen the job: it is available again, and the attempt does not count.
pub(super) fn unclaim(mut job: Job, token: &str) -> Result<Job, Refusal> {
    match job.lease.take() {
        Some(lease) if lease.token == token => {
            job.state = State::Available;
            job.attempt = job.attempt.saturating_sub(1);
            job.started_at = None;
            job.holds.clear();
            Ok(job)
        }
        Some(_) => Err(Refusal::LeaseLost { attempt: job.attempt }),
        None => Err(Refusal::State(job.state)),
    }
}
