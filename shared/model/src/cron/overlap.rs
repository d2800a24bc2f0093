//! What happens when a cron job's time comes while its previous job has not ended (OJS cron section 6).

use crate::job::Job;

/// The policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverlapPolicy {
    /// The occurrence is lost.
    #[default]
    Skip,
    /// Both run.
    Allow,
    /// The previous job is cancelled first.
    CancelPrevious,
    /// The new job waits until the previous one has ended.
    Enqueue,
}

impl OverlapPolicy {
    /// All policies.
    pub const ALL: [Self; 4] = [Self::Skip, Self::Allow, Self::CancelPrevious, Self::Enqueue];

    /// The name on the wire and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Allow => "allow",
            Self::CancelPrevious => "cancel_previous",
            Self::Enqueue => "enqueue",
        }
    }

    /// The policy of that name; `cancel` is another name for `cancel_previous`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == "cancel" {
            return Some(Self::CancelPrevious);
        }
        Self::ALL.into_iter().find(|policy| policy.as_str() == name)
    }
}

/// What is to be done with an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Make its job.
    Fire,
    /// Make none.
    Skip,
    /// Cancel the previous job, then make this one.
    CancelPrevious,
    /// Make its job, which waits until the previous one has ended.
    WaitForPrevious,
    /// Make none: the occurrence has made its job already.
    Known,
}

/// Decides as of `as_of_ms`, the moment at which the occurrence was due, whenever it is asked: a job that has ended
/// since had not ended then. `previous` is the job before, as of now; any that has not ended counts as running.
#[must_use]
pub fn decide(policy: OverlapPolicy, previous: Option<&Job>, as_of_ms: i64) -> Decision {
    let Some(previous) = previous else { return Decision::Fire };
    let live_now = !previous.state.is_terminal();
    match policy {
        OverlapPolicy::Allow => Decision::Fire,
        OverlapPolicy::Skip if live_now || previous.ended_at().is_some_and(|end| end > as_of_ms) => Decision::Skip,
        OverlapPolicy::CancelPrevious if live_now => Decision::CancelPrevious,
        OverlapPolicy::Enqueue if live_now => Decision::WaitForPrevious,
        OverlapPolicy::Skip | OverlapPolicy::CancelPrevious | OverlapPolicy::Enqueue => Decision::Fire,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::job::step::tests::{NOW, claimed, job};
    use crate::job::{Event, Holder, step};

    #[test]
    fn each_policy_decides_by_what_the_previous_job_did() {
        use Decision::{CancelPrevious, Fire, Skip, WaitForPrevious};
        let waiting = job("{}");
        let active = claimed("{}");
        // Ended a second after the occurrence was due, and a second before.
        let ack = |at| step(&claimed("{}"), Event::Ack { holder: Holder::default(), result: None }, at).unwrap().job;
        let (late, early) = (ack(NOW + 2_000), ack(NOW));
        let as_of = NOW + 1_000;
        for (policy, expected) in [
            (OverlapPolicy::Skip, [Fire, Skip, Skip, Skip, Fire]),
            (OverlapPolicy::Allow, [Fire, Fire, Fire, Fire, Fire]),
            (OverlapPolicy::CancelPrevious, [Fire, CancelPrevious, CancelPrevious, Fire, Fire]),
            (OverlapPolicy::Enqueue, [Fire, WaitForPrevious, WaitForPrevious, Fire, Fire]),
        ] {
            let previous = [None, Some(&waiting), Some(&active), Some(&late), Some(&early)];
            assert_eq!(previous.map(|previous| decide(policy, previous, as_of)), expected, "{policy:?}");
        }
    }

    #[test]
    fn names_read_back() {
        for policy in OverlapPolicy::ALL {
            assert_eq!(OverlapPolicy::parse(policy.as_str()), Some(policy));
        }
        assert_eq!(OverlapPolicy::parse("cancel"), Some(OverlapPolicy::CancelPrevious));
        assert_eq!(OverlapPolicy::parse("SKIP"), None);
    }
}
