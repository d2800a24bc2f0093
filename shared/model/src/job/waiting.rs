//! How long a job has waited for a worker, and how often its message may be sent again meanwhile.

use super::{Job, State};

/// Longest time between two messages of a job that keeps waiting, ms: 7 days. SQS deletes a message after 14.
const LONGEST_GAP_MS: i64 = 7 * 86_400_000;

impl Job {
    /// Since when a stored job has been available without being claimed, as of `now_ms`; ms since the Unix epoch. `None` for a job
    /// in any other state, for one in the due index, whose message the scheduler sends, and for one that is parked, whose message is
    /// sent when its rate limit lets it start.
    #[must_use]
    pub fn waits_since(&self, now_ms: i64) -> Option<i64> {
        if self.in_due_index || self.parked.is_some() {
            return None;
        }
        let job = self.as_of(now_ms);
        (job.state == State::Available).then(|| job.enqueued_at.unwrap_or(job.created_at))
    }
}

/// Whether the message of a job that has waited `waited_ms` may be sent again, when it had waited `before_ms` at the last chance
/// to send it: once it has waited `first_ms`, then each time that has doubled, then each week.
///
/// So a job that waits for weeks gets a dozen messages and no more, and never goes without one for longer than SQS keeps it.
#[must_use]
pub fn may_send_again(before_ms: i64, waited_ms: i64, first_ms: i64) -> bool {
    let mut mark = first_ms.max(1);
    while mark <= waited_ms {
        if mark > before_ms {
            return true;
        }
        mark += mark.min(LONGEST_GAP_MS);
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::job::Parked;
    use crate::job::step::tests::{NOW, claimed, job};

    const MINUTE: i64 = 60_000;
    const DAY: i64 = 86_400_000;

    #[test]
    fn only_a_job_that_could_be_claimed_has_waited() {
        let since = |options: &str, after| job(options).waits_since(NOW + after).map(|at| at - NOW);
        assert_eq!(since("{}", 5), Some(0));
        assert_eq!(since(r#"{"scheduled_at":"+PT5S"}"#, 4_000), None);
        assert_eq!(since(r#"{"scheduled_at":"+PT5S"}"#, 7_000), Some(5_000));
        assert_eq!(since(r#"{"pending":true}"#, 7_000), None);
        assert_eq!(since(r#"{"expires_at":"+PT5S"}"#, 7_000), None, "it has ended");
        let lapses = claimed("{}");
        assert_eq!((lapses.waits_since(NOW + 29_999), lapses.waits_since(NOW + 31_000)), (None, Some(NOW + 30_000)));
        let mut indexed = job(r#"{"scheduled_at":"+PT5S"}"#);
        indexed.in_due_index = true;
        assert_eq!(indexed.waits_since(NOW + 7_000), None);
        let mut parked = job("{}");
        parked.parked = Some(Parked { limit: "k".into(), send_at_ms: NOW, gap_ms: None });
        assert_eq!(parked.waits_since(NOW + 7_000), None);
    }

    #[test]
    fn the_time_between_two_messages_doubles_up_to_a_week() {
        for (before, waited, wanted) in [
            (0, 2 * MINUTE - 1, false),
            (0, 2 * MINUTE, true),
            (2 * MINUTE, 4 * MINUTE - 1, false),
            (2 * MINUTE, 4 * MINUTE, true),
            (5 * MINUTE, 7 * MINUTE, false),
            (5 * MINUTE, 9 * MINUTE, true),
            (0, 365 * DAY, true),
        ] {
            assert_eq!(may_send_again(before, waited, 2 * MINUTE), wanted, "{before} {waited}");
        }
        let (mut sent, mut last) = (Vec::new(), 0);
        for waited in (0..60 * DAY).step_by(3_600_000) {
            if may_send_again(last, waited, 15 * MINUTE) {
                sent.push(waited);
                last = waited;
            }
        }
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] <= LONGEST_GAP_MS + 3_600_000), "{sent:?}");
        assert!(sent.len() < 20, "{sent:?}");
    }
}
