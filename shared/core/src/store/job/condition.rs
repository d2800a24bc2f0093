//! What the conditional writes of jobs ask, each by its name.

use super::attributes as job;
use crate::store::dynamo::expression::{Condition, Operand, all, any};
use ojs_model::job::{Holder, State};

impl From<State> for Operand {
    fn from(state: State) -> Self {
        state.as_str().into()
    }
}

/// The job is as it was read.
pub(in crate::store) fn revision_is(revision: u64) -> Condition {
    job::REVISION.is(revision)
}

/// The job is active under a lease that runs at `now_ms`.
pub(in crate::store) fn lease_runs(now_ms: i64) -> Condition {
    all([job::STATE.is(State::Active), job::LEASE_UNTIL.above(now_ms), job::DEADLINE.above(now_ms)])
}

/// The lease runs, and nothing says that it is not `holder`'s. Where leases have lapsed before, it refuses a holder that does
/// not say enough to be told from the workers that held them.
pub(in crate::store) fn lease_held_by(holder: &Holder, now_ms: i64) -> Condition {
    let none_lapsed = job::LAPSED.is_absent();
    let who = match (&holder.token, &holder.worker) {
        (Some(token), Some(worker)) => {
            all([job::LEASE_TOKEN.is(token), any([job::LEASE_WORKER.is_absent(), job::LEASE_WORKER.is(worker)])])
        }
        (Some(token), None) => job::LEASE_TOKEN.is(token),
        (None, Some(worker)) => any([job::LEASE_WORKER.is_absent().and(none_lapsed), job::LEASE_WORKER.is(worker)]),
        (None, None) => none_lapsed,
    };
    lease_runs(now_ms).and(who)
}

/// The job has not expired at `now_ms`.
pub(in crate::store) fn not_expired(now_ms: i64) -> Condition {
    job::EXPIRES_AT.is_absent().or(job::EXPIRES_AT.above(now_ms))
}

/// The job is in one of these states, of those that have not ended, and the clock has not moved it on at `now_ms`.
pub(in crate::store) fn still_in(states: &[State], now_ms: i64) -> Condition {
    any(states.iter().map(|state| match state {
        State::Active => lease_runs(now_ms),
        State::Scheduled | State::Retryable => {
            all([job::STATE.is(*state), job::DUE_AT.above(now_ms), not_expired(now_ms)])
        }
        _ => job::STATE.is(*state).and(not_expired(now_ms)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::dynamo::expression::Placeholders;

    fn text(condition: Condition) -> String {
        Placeholders::default().condition(condition)
    }

    #[test]
    fn a_holder_is_told_by_what_it_says() {
        let running = "#s = :v0 AND #lu > :v1 AND #xd > :v1 AND ";
        for (token, worker, wanted) in [
            (Some("t"), Some("w"), "#lt = :v2 AND (attribute_not_exists(#lw) OR #lw = :v3)"),
            (Some("t"), None, "#lt = :v2"),
            (None, Some("w"), "(attribute_not_exists(#lw) AND attribute_not_exists(#lb) OR #lw = :v2)"),
            (None, None, "attribute_not_exists(#lb)"),
        ] {
            let holder = Holder { token: token.map(str::to_owned), worker: worker.map(str::to_owned) };
            assert_eq!(text(lease_held_by(&holder, 5)), format!("{running}{wanted}"));
        }
    }

    #[test]
    fn a_job_is_still_in_a_state_until_the_clock_moves_it() {
        let alive = |at| format!("(attribute_not_exists(#ex) OR #ex > :v{at})");
        for (states, wanted) in [
            (&[State::Available][..], format!("#s = :v0 AND {}", alive(1))),
            (&[State::Scheduled], format!("#s = :v0 AND #du > :v1 AND {}", alive(1))),
            (&[State::Active, State::Pending], {
                format!("(#s = :v0 AND #lu > :v1 AND #xd > :v1 OR #s = :v2 AND {})", alive(1))
            }),
        ] {
            assert_eq!(text(still_in(states, 5)), wanted);
        }
    }
}
