//! Leases that lapsed. The workers that held them may still be alive, and may have sent a request that names neither lease nor
//! worker.

use serde::{Deserialize, Serialize};

use super::MAX_VISIBILITY_MS;
use super::envelope::{Job, Lease};
use super::step::Holder;

/// Workers remembered; beyond it the oldest becomes one without a name.
const MAX_LAPSED: usize = 4;
/// How long a lapsed lease is remembered, ms: as long as the longest lease.
const REMEMBERED_MS: i64 = MAX_VISIBILITY_MS;

/// A lease that ended by the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lapsed {
    /// The worker that held it, if it named itself.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// When it lapsed, ms since the Unix epoch.
    #[serde(rename = "t")]
    pub at_ms: i64,
}

impl Job {
    /// Remembers that the lease in force lapses at `at_ms`.
    pub(super) fn note_lapse(&mut self, at_ms: i64) {
        let Some(lease) = &self.lease else { return };
        let worker = lease.worker.clone();
        self.lapsed.retain(|lapsed| at_ms - lapsed.at_ms < REMEMBERED_MS && lapsed.worker != worker);
        self.lapsed.push(Lapsed { worker, at_ms });
        if self.lapsed.len() > MAX_LAPSED {
            let beyond = self.lapsed.len() - MAX_LAPSED;
            // An entry without a name stands for those that are dropped.
            let newest_dropped = self.lapsed.drain(..=beyond).next_back();
            if let Some(Lapsed { at_ms, .. }) = newest_dropped
                && self.lapsed.iter().all(|lapsed| lapsed.worker.is_some())
            {
                self.lapsed.insert(0, Lapsed { worker: None, at_ms });
            }
        }
    }

    /// Lapsed leases whose worker may be the sender of a request of `holder`, as far as the request says.
    pub fn possible_senders<'a>(&'a self, holder: &'a Holder, now_ms: i64) -> impl Iterator<Item = &'a Lapsed> + 'a {
        let current = self.lease.as_ref();
        self.lapsed.iter().filter(move |lapsed| {
            current.is_some_and(|lease| now_ms - lapsed.at_ms < REMEMBERED_MS && may_send(lapsed, holder, lease))
        })
    }
}

/// Whether a request of `holder`, which holds `current` as far as it says, may come from the worker of a lapsed lease.
fn may_send(lapsed: &Lapsed, holder: &Holder, current: &Lease) -> bool {
    match (&holder.token, &holder.worker, &current.worker) {
        // Compared with the lease.
        (Some(_), _, _) | (None, Some(_), Some(_)) => false,
        (None, Some(sender), None) => lapsed.worker.as_ref().is_none_or(|late| late == sender),
        (None, None, current) => lapsed.worker.is_none() || lapsed.worker != *current,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Ids;
    use crate::job::{Event, State, step};
    use crate::json::Fields;

    const NOW: i64 = 1_700_000_000_000;

    fn job() -> Job {
        let body = br#"{"type":"a","args":[],"options":{"retry":{"max_attempts":50}}}"#;
        super::super::parse_enqueue(Fields::from_body(body).unwrap(), NOW, &Ids::new()).unwrap().job
    }

    fn claimed(job: &Job, worker: Option<&str>, now_ms: i64) -> Job {
        let lease = Lease {
            worker: worker.map(str::to_owned),
            token: "t".to_owned(),
            until_ms: now_ms + 1_000,
            duration_ms: 1_000,
            deadline_ms: i64::MAX,
            receipt: None,
        };
        step(job, Event::Claim(lease), now_ms).unwrap().job
    }

    fn by(worker: Option<&str>, token: Option<&str>) -> Holder {
        Holder { worker: worker.map(str::to_owned), token: token.map(str::to_owned) }
    }

    #[test]
    fn a_request_that_may_be_a_late_workers_is_refused() {
        let (a, b) = (Some("a"), Some("b"));
        for (late, current, worker, token, accepted) in [
            (a, b, None, None, false),
            (a, b, b, None, true),
            (a, b, a, None, false),
            (a, b, None, Some("t"), true),
            (a, a, None, None, true),
            (a, None, None, None, false),
            (a, None, a, None, false),
            (a, None, b, None, true),
            (None, b, None, None, false),
            (None, b, b, None, true),
            (None, None, None, None, false),
            (None, None, a, None, false),
            (None, None, None, Some("t"), true),
        ] {
            let second = claimed(&claimed(&job(), late, NOW), current, NOW + 1_000);
            let holder = by(worker, token);
            for event in [
                Event::Ack { holder: holder.clone(), result: None },
                Event::Requeue { holder: holder.clone(), failure: None },
                Event::Heartbeat { holder: holder.clone(), duration_ms: None },
            ] {
                let stepped = step(&second, event, NOW + 1_500);
                assert_eq!(stepped.is_ok(), accepted, "{late:?} {current:?} {worker:?} {token:?}");
            }
        }
    }

    #[test]
    fn before_any_lapse_state_alone_decides() {
        for worker in [None, Some("a")] {
            let first = claimed(&job(), worker, NOW);
            step(&first, Event::Ack { holder: Holder::default(), result: None }, NOW + 1).unwrap();
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgets_no_name_silently() {
        let mut job = job();
        for i in 0..20 {
            job = claimed(&job, Some(&format!("w{i}")), NOW + i * 1_000);
        }
        assert_eq!(job.lapsed.len(), MAX_LAPSED);
        let workers: Vec<_> = job.lapsed.iter().map(|lapsed| lapsed.worker.as_deref()).collect();
        assert_eq!(workers, [None, Some("w16"), Some("w17"), Some("w18")]);
        assert_eq!(job.lapsed[0].at_ms, NOW + 16_000, "when the newest of those that are dropped lapsed");
        let later = NOW + 19_000 + REMEMBERED_MS;
        assert_eq!(job.as_of(later).state, State::Available);
        let next = claimed(&job, Some("x"), later);
        assert_eq!(next.lapsed.len(), 4, "{:?}", next.lapsed);
        let much_later = claimed(&next, Some("y"), later + REMEMBERED_MS);
        assert_eq!(much_later.lapsed, [Lapsed { worker: Some("x".to_owned()), at_ms: later + 1_000 }]);
    }
}
