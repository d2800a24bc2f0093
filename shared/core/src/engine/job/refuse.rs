//! Refusals as the client sees them.

use ojs_model::error::{Error, ErrorCode};
use ojs_model::ids::JobId;
use ojs_model::job::{Job, Refusal, State};

/// No such job: 404.
pub(in crate::engine) fn missing(id: &JobId) -> Error {
    Error::not_found("job", id.as_str())
}

/// The job kept changing under us: 503, to be tried again.
pub(in crate::engine) fn raced(id: &JobId) -> Error {
    Error::new(ErrorCode::BackendUnavailable, format!("Job '{id}' keeps changing; try again shortly."))
        .with("job_id", id.as_str())
}

/// A transition that the job does not allow: 409, naming the state it is in and the one it would have to be in.
pub(in crate::engine) fn conflict(job: &Job, refusal: &Refusal, verb: &str, expected: &str, now_ms: i64) -> Error {
    let now = job.as_of(now_ms);
    let (id, state, attempt) = (&job.id, now.state, now.attempt);
    if matches!(refusal, Refusal::LeaseLost { .. }) {
        return lease_lost(id, attempt, verb);
    }
    let message = if verb == "cancel" {
        format!("Cannot cancel job '{id}': it has ended, it is '{state}'.")
    } else {
        format!("Cannot {verb} job '{id}': it is '{state}', not '{expected}'.")
    };
    refused(message, id, state, expected, attempt)
}

/// The job is active under a lease that is not the caller's, as far as the request shows: 409 with the attempt now running (I3).
pub(in crate::engine) fn lease_lost(id: &JobId, attempt: u32, verb: &str) -> Error {
    let message = format!(
        "Cannot {verb} job '{id}': the request does not show that its worker holds the lease of attempt {attempt}. \
         Send 'lease_token', or the header 'X-OJS-Worker-ID' with the fetch and this request."
    );
    refused(message, id, State::Active, State::Active.as_str(), attempt).with("reason", "lease_lost")
}

fn refused(message: String, id: &JobId, state: State, expected: &str, attempt: u32) -> Error {
    Error::new(ErrorCode::Conflict, message)
        .with("job_id", id.as_str())
        .with("current_state", state.as_str())
        .with("expected_state", expected)
        .with("current_attempt", attempt)
}
