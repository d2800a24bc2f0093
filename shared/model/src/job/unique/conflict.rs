use super::{OnConflict, States, UniqueKey, UniquePolicy};
use crate::ids::JobId;
use crate::job::{Job, State};

/// What keeps the duplicates of a job out: one item per key, made with the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The key that it is for.
    pub key: UniqueKey,
    /// The job that holds it.
    pub job: JobId,
    /// The states in which the job does.
    pub states: States,
    /// When it ceases to, ms since the Unix epoch.
    pub expires_at: Option<i64>,
    /// Whether the job's message has been sent again because of a duplicate.
    pub resent: bool,
    /// Marks the write that made it.
    pub nonce: u64,
    /// The job's revision then: an end of an earlier life does not release it.
    pub revision: u64,
}

impl Lock {
    /// The lock of a new job.
    #[must_use]
    pub fn of(job: &Job, key: UniqueKey, policy: &UniquePolicy, nonce: u64) -> Self {
        Self {
            key,
            job: job.id.clone(),
            states: policy.states,
            expires_at: policy.period_ms.map(|period| job.created_at.saturating_add(period)),
            resent: false,
            nonce,
            revision: job.revision,
        }
    }
}

/// What a new job finds under its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Nothing that keeps it out: it takes the lock over.
    None,
    /// The holder stays; the new job is refused.
    Reject,
    /// The holder stays, and is answered.
    Ignore,
    /// The holder is to be cancelled in its favour.
    Replace {
        /// Whether the new job gets the holder's scheduled time.
        keep_schedule: bool,
    },
}

/// What `policy`, that of a new job, makes of `lock` and the job that holds it, settled as of `now_ms`.
///
/// A job is a duplicate while its own policy *and* the new one's say so (unique jobs section 7.4): its state is among the
/// states of both, and neither period has passed since it was made.
#[must_use]
pub fn conflict(policy: &UniquePolicy, lock: &Lock, holder: Option<&Job>, now_ms: i64) -> Conflict {
    // It may have been forgotten, or deleted by an operator.
    let Some(holder) = holder.filter(|job| job.unique_key == Some(lock.key)) else { return Conflict::None };
    let counts = lock.states.contains(holder.state) && policy.states.contains(holder.state);
    let passed = |at: Option<i64>| at.is_some_and(|at| at <= now_ms);
    let period = policy.period_ms.map(|period| holder.created_at.saturating_add(period));
    if !counts || passed(lock.expires_at) || passed(period) {
        return Conflict::None;
    }
    match policy.on_conflict {
        OnConflict::Reject => Conflict::Reject,
        OnConflict::Ignore => Conflict::Ignore,
        // Terminal is terminal: there is nothing to cancel, and nothing that would run twice.
        OnConflict::Replace | OnConflict::ReplaceExceptSchedule if holder.state.is_terminal() => Conflict::None,
        OnConflict::Replace => Conflict::Replace { keep_schedule: false },
        OnConflict::ReplaceExceptSchedule => Conflict::Replace { keep_schedule: holder.state == State::Scheduled },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Ids;
    use crate::job::parse_enqueue;
    use crate::json::{Fields, raw};

    const NOW: i64 = 1_700_000_000_000;

    fn job(unique: &str) -> Job {
        let body = format!(r#"{{"type":"a","args":[1],"options":{{"unique":{unique},"scheduled_at":"+PT1H"}}}}"#);
        parse_enqueue(Fields::from_body(body.as_bytes()).unwrap(), NOW, &Ids::new()).unwrap().job
    }

    fn policy(unique: &str) -> UniquePolicy {
        UniquePolicy::parse("u", &raw(unique).unwrap()).unwrap()
    }

    /// What the second finds `after` ms after the first, whose state is `state`.
    fn find(first: &str, second: &str, state: State, after: i64) -> Conflict {
        let mut holder = job(first);
        let lock = Lock::of(&holder, holder.unique_key.unwrap(), &policy(first), 1);
        holder.state = state;
        conflict(&policy(second), &lock, Some(&holder), NOW + after)
    }

    #[test]
    fn the_strategy_decides_what_becomes_of_a_duplicate() {
        for (strategy, wanted) in [
            ("reject", Conflict::Reject),
            ("ignore", Conflict::Ignore),
            ("replace", Conflict::Replace { keep_schedule: false }),
        ] {
            let unique = format!(r#"{{"on_conflict":"{strategy}"}}"#);
            for state in State::ALL {
                let wanted = if state.is_terminal() { Conflict::None } else { wanted };
                assert_eq!(find("{}", &unique, state, 0), wanted, "{strategy} {state}");
            }
        }
        let keeps = r#"{"on_conflict":"replace_except_schedule"}"#;
        assert_eq!(find("{}", keeps, State::Scheduled, 0), Conflict::Replace { keep_schedule: true });
        assert_eq!(find("{}", keeps, State::Active, 0), Conflict::Replace { keep_schedule: false });
    }

    #[test]
    fn both_policies_must_count_the_state() {
        let with = r#"{"states":["available","completed"]}"#;
        assert_eq!(find(with, with, State::Completed, 0), Conflict::Reject);
        assert_eq!(find(with, with, State::Active, 0), Conflict::None);
        assert_eq!(find("{}", with, State::Completed, 0), Conflict::None);
        assert_eq!(find(with, "{}", State::Completed, 0), Conflict::None);
        assert_eq!(find(with, "{}", State::Active, 0), Conflict::None);
        // What has ended cannot be cancelled; the new job takes its place without.
        let replace = r#"{"states":["completed"],"on_conflict":"replace"}"#;
        assert_eq!(find(with, replace, State::Completed, 0), Conflict::None);
    }

    #[test]
    fn a_period_ends_at_its_very_ms() {
        let two = r#"{"period":"PT2S"}"#;
        for (first, second) in [(two, two), (two, "{}"), ("{}", two)] {
            assert_eq!(find(first, second, State::Available, 1_999), Conflict::Reject);
            assert_eq!(find(first, second, State::Available, 2_000), Conflict::None);
        }
        assert_eq!(find("{}", "{}", State::Available, i64::MAX - NOW), Conflict::Reject);
    }

    #[test]
    fn a_lock_whose_job_is_gone_or_another_keeps_nobody_out() {
        let holder = job("{}");
        let lock = Lock::of(&holder, holder.unique_key.unwrap(), &policy("{}"), 1);
        assert_eq!(conflict(&policy("{}"), &lock, None, NOW), Conflict::None);
        let other = Job { unique_key: None, ..holder.clone() };
        assert_eq!(conflict(&policy("{}"), &lock, Some(&other), NOW), Conflict::None);
        assert_eq!(conflict(&policy("{}"), &lock, Some(&holder.as_of(NOW)), NOW), Conflict::Reject);
    }
}
