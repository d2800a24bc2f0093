//! The state machine: what an event makes of a job, or why it is refused (OJS core section 6).
//!
//! Every function here starts from the settled job ([`Job::as_of`]), so the clock's changes are part of the step.

mod ack;
mod activate;
mod cancel;
mod claim;
pub(super) mod fail;
mod heartbeat;
mod nack;
mod retry;
mod retry_dead;
mod unclaim;

use super::envelope::{Job, Lease};
use super::history::Failure;
use super::state::State;
use crate::ids::JobId;
use crate::json::Json;

/// Who says that it holds the lease; what is `None` is not compared.
#[derive(Debug, Clone, Default)]
pub struct Holder {
    /// The worker's id.
    pub worker: Option<String>,
    /// The fencing token that came with the job.
    pub token: Option<String>,
}

impl Holder {
    /// Whether nothing speaks against this holder having this lease.
    #[must_use]
    pub fn holds(&self, lease: &Lease) -> bool {
        let worker = match (&self.worker, &lease.worker) {
            (Some(mine), Some(holder)) => mine == holder,
            _ => true,
        };
        worker && self.token.as_ref().is_none_or(|mine| *mine == lease.token)
    }

    /// Whether this is the holder of the lease that ended last; only the token proves that.
    #[must_use]
    pub fn held_last(&self, job: &Job) -> bool {
        self.token.is_some() && self.token == job.ended_lease
    }
}

/// Something that may happen to a job.
#[derive(Debug, Clone)]
pub enum Event {
    /// A worker takes the job under this lease.
    Claim(Lease),
    /// The claim of the lease with this token is undone, because its answer did not reach the worker in time.
    Unclaim {
        /// The lease's token.
        token: String,
    },
    /// The worker is done.
    Ack {
        /// Who says so.
        holder: Holder,
        /// What came of it, any JSON.
        result: Option<Json>,
    },
    /// The attempt failed.
    Nack {
        /// Who says so.
        holder: Holder,
        /// Why.
        failure: Failure,
    },
    /// The worker gives the job back unfinished.
    Requeue {
        /// Who says so.
        holder: Holder,
        /// Why, if it says.
        failure: Option<Failure>,
    },
    /// The worker is still at it.
    Heartbeat {
        /// Who says so.
        holder: Holder,
        /// New length of the lease from now, ms; the lease's own when `None`.
        duration_ms: Option<i64>,
    },
    /// A client cancels the job.
    Cancel,
    /// A client activates a pending job.
    Activate,
    /// An operator retries a dead letter.
    RetryDead,
    /// An operator retries a discarded job, or one that waits for its next attempt.
    Retry,
}

/// The job after an accepted event.
#[derive(Debug, Clone)]
pub struct Change {
    /// The job as it is to be stored.
    pub job: Job,
    /// The state that was shown before.
    pub from: State,
}

/// Why an event changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The job's state does not allow it.
    State(State),
    /// Another lease is in force.
    LeaseLost {
        /// The attempt now running.
        attempt: u32,
    },
    /// The same holder did it before and the answer was lost: a success, with nothing to do (I5).
    Repeated,
    /// A claim came before the job that this one waits for has ended.
    Waits {
        /// The job it waits for.
        on: JobId,
    },
    /// A claim came before the job's time, or while another lease runs.
    NotYet {
        /// When to look again, ms since the Unix epoch.
        at_ms: i64,
    },
}

/// What `event` makes of `job` at `now_ms` (ms since the Unix epoch).
///
/// A worker claims a job and acks it; a second ack finds the job completed:
///
/// ```
/// use ojs_model::job::step::{Event, Holder, Refusal, step};
/// use ojs_model::job::{Lease, State, parse_enqueue};
/// use ojs_model::{Ids, json::Fields};
///
/// let now_ms = 1_700_000_000_000;
/// let body = br#"{"type": "email.send", "args": []}"#;
/// let job = parse_enqueue(Fields::from_body(body)?, now_ms, &Ids::new())?.job;
/// let lease = Lease {
///     worker: Some("worker-1".to_owned()),
///     token: "token-1".to_owned(),
///     until_ms: now_ms + 30_000,
///     duration_ms: 30_000,
///     deadline_ms: i64::MAX,
///     receipt: None,
/// };
/// let active = step(&job, Event::Claim(lease), now_ms).unwrap().job;
/// assert_eq!((active.state, active.attempt), (State::Active, 1));
///
/// let ack = || Event::Ack { holder: Holder::default(), result: None };
/// let done = step(&active, ack(), now_ms + 900).unwrap();
/// assert_eq!((done.from, done.job.state), (State::Active, State::Completed));
/// assert_eq!(step(&done.job, ack(), now_ms + 950).unwrap_err(), Refusal::State(State::Completed));
/// # Ok::<(), ojs_model::Error>(())
/// ```
///
/// # Errors
/// [`Refusal`]; the job stays as it is.
pub fn step(job: &Job, event: Event, now_ms: i64) -> Result<Change, Refusal> {
    let job = job.as_of(now_ms).into_owned();
    let from = job.state;
    let job = match event {
        Event::Claim(lease) => claim::claim(job, lease, now_ms),
        Event::Unclaim { token } => unclaim::unclaim(job, &token),
        Event::Ack { holder, result } => ack::ack(job, &holder, result, now_ms),
        Event::Nack { holder, failure } => nack::nack(job, &holder, failure, now_ms),
        Event::Requeue { holder, failure } => nack::requeue(job, &holder, failure, now_ms),
        Event::Heartbeat { holder, duration_ms } => heartbeat::heartbeat(job, &holder, duration_ms, now_ms),
        Event::Cancel => cancel::cancel(job, now_ms),
        Event::Activate => activate::activate(job, now_ms),
        Event::RetryDead => retry_dead::retry_dead(job, now_ms),
        Event::Retry => retry::retry(job, now_ms),
    }?;
    Ok(Change { job, from })
}

/// Fails unless the job is active under a lease of `holder`. Where leases have lapsed before, `holder` must say enough to be told
/// from the workers that held them.
fn held(job: &Job, holder: &Holder, now_ms: i64) -> Result<(), Refusal> {
    match &job.lease {
        Some(lease) if holder.holds(lease) && job.possible_senders(holder, now_ms).next().is_none() => Ok(()),
        Some(_) => Err(Refusal::LeaseLost { attempt: job.attempt }),
        None if holder.held_last(job) => Err(Refusal::Repeated),
        None => Err(Refusal::State(job.state)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
