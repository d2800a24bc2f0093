use super::{Job, Lease, Refusal, State};

/// A worker takes an available job: attempt + 1 under a new lease.
pub(super) fn claim(mut job: Job, lease: Lease, now_ms: i64) -> Result<Job, Refusal> {
    match job.state {
        State::Available => {
            if let Some(on) = job.waits_for {
                return Err(Refusal::Waits { on });
            }
            job.state = State::Active;
            job.attempt += 1;
            job.started_at = Some(now_ms);
            job.due_at = None;
            job.in_due_index = false;
            job.batch = None;
            job.ended_lease = None;
            job.ended_receipt = None;
            job.holds.clear();
            job.lease = Some(lease);
            Ok(job)
        }
        State::Active | State::Scheduled | State::Retryable => {
            Err(Refusal::NotYet { at_ms: job.wakes_at_ms().unwrap_or(now_ms) })
        }
        state => Err(Refusal::State(state)),
    }
}
