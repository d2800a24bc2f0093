use super::{Holder, Job, Refusal, held};

/// The worker is still at it: the lease runs anew from now. The execution timeout does not move (timeouts section 5).
pub(super) fn heartbeat(mut job: Job, holder: &Holder, duration_ms: Option<i64>, now_ms: i64) -> Result<Job, Refusal> {
    held(&job, holder, now_ms).map_err(|refusal| match refusal {
        Refusal::Repeated => Refusal::State(job.state),
        other => other,
    })?;
    if let Some(lease) = &mut job.lease {
        lease.until_ms = now_ms + duration_ms.unwrap_or(lease.duration_ms);
    }
    Ok(job)
}
