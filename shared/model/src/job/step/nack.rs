use super::{Failure, Holder, Job, Refusal, State, fail, held};
use crate::job::envelope::DeadLetter;
use crate::job::history::JobError;
use crate::time::format_ms;

/// The attempt failed: retryable, or discarded.
///
/// In this order (retry sections 6 and 7): the handler's own word in the code (`DISCARD`, `FAIL`, `DEAD_LETTER`),
/// `retryable: false`, the policy's `non_retryable_errors`, the attempts used up; else another attempt.
pub(super) fn nack(mut job: Job, holder: &Holder, failure: Failure, now_ms: i64) -> Result<Job, Refusal> {
    held(&job, holder, now_ms).map_err(|refusal| not_repeated(refusal, &job, &[State::Retryable, State::Discarded]))?;
    let ends_now = match failure.code.as_str() {
        "DISCARD" | "FAIL" => Some(DeadLetter::No),
        "DEAD_LETTER" => Some(DeadLetter::Listed),
        _ => None,
    };
    let retryable = failure.retryable != Some(false) && !job.retry.is_non_retryable(failure.names());
    let error = entry(failure, job.attempt, now_ms);
    match ends_now {
        Some(dead_letter) => {
            job.push_error(error);
            fail::give_up(&mut job, dead_letter, now_ms);
        }
        None => fail::failed(&mut job, error, retryable, now_ms),
    }
    Ok(job)
}

/// The worker returns the job unfinished: available at once, whatever the policy says. `attempt` keeps its number, so that
/// leases stay apart, but does not count as a retry attempt (OJS worker protocol).
pub(super) fn requeue(mut job: Job, holder: &Holder, failure: Option<Failure>, now_ms: i64) -> Result<Job, Refusal> {
    held(&job, holder, now_ms).map_err(|refusal| not_repeated(refusal, &job, &[State::Available]))?;
    if let Some(failure) = failure {
        let error = entry(failure, job.attempt, now_ms);
        job.push_error(error);
    }
    job.requeues = job.requeues.saturating_add(1);
    job.state = State::Available;
    job.enqueued_at = Some(now_ms);
    job.end_lease();
    Ok(job)
}

/// A repeated call succeeds only where its first try can have led.
fn not_repeated(refusal: Refusal, job: &Job, outcomes: &[State]) -> Refusal {
    match refusal {
        // A retry that has come due since is shown as available.
        Refusal::Repeated if outcomes.contains(&job.state) || job.state == State::Available => Refusal::Repeated,
        Refusal::Repeated => Refusal::State(job.state),
        other => other,
    }
}

fn entry(failure: Failure, attempt: u32, now_ms: i64) -> JobError {
    JobError {
        code: failure.code,
        error_type: failure.error_type,
        message: failure.message,
        attempt,
        occurred_at: format_ms(now_ms),
        retryable: failure.retryable,
        timeout_kind: None,
        limit_seconds: None,
        elapsed_seconds: None,
        details: failure.details,
        backtrace: failure.backtrace,
        truncated: failure.truncated,
    }
}
