//! Refusals as the client sees them.

use crate::error::{Error, ErrorCode};
use crate::ids::JobId;
use crate::job::{Job, Refusal, State, settle};

/// No such job: 404.
pub(super) fn missing(id: &JobId) -> Error {
    Error::not_found("job", id.as_str())
}

/// The job kept changing under us: 503, to be tried again.
pub(super) fn raced(id: &JobId) -> Error {
    Error::new(ErrorCode::BackendUnavailable, format!("Job '{id}' keeps changing; try again shortly."))
        .with("job_id", id.as_str())
}

/// A transition that the job does not allow: 409, naming the state it is in and the one it would have to be in.
pub(super) fn conflict(job: &Job, refusal: &Refusal, verb: &str, expected: &str, now_ms: i64) -> Error {
    let now = settle(job, now_ms);
    let (id, state, attempt) = (&job.id, now.state, now.attempt);
    let message = match refusal {
        Refusal::LeaseLost { .. } => {
            format!("Cannot {verb} job '{id}': the lease is not yours; attempt {attempt} is held under another one.")
        }
        _ if verb == "cancel" => format!("Cannot cancel job '{id}': it has ended, it is '{state}'."),
        _ => format!("Cannot {verb} job '{id}': it is '{state}', not '{expected}'."),
    };
    let mut error = Error::new(ErrorCode::Conflict, message)
        .with("job_id", id.as_str())
        .with("current_state", state.as_str())
        .with("expected_state", expected)
        .with("current_attempt", attempt);
    if matches!(refusal, Refusal::LeaseLost { .. }) && state == State::Active {
        error = error.with("reason", "lease_lost");
    }
    error
}
