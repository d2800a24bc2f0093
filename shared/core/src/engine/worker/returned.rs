use std::collections::HashMap;

use crate::engine::Engine;
use crate::store::Updated;
use crate::transport::Received;
use ojs_model::ids::JobId;
use ojs_model::message::SOON_MS;

/// Jobs whose messages have come back, as read before any of them is claimed.
///
/// A receive hides a message for a minute at most, and jobs run for longer than that: nearly all messages that come back
/// are those of jobs that run. A claim of such a job is refused, and AWS bills a refused write as a write, each by itself.
/// One read of ten jobs costs a fifth of that and is one call.
#[derive(Default)]
pub(in crate::engine) struct Returned(HashMap<JobId, Updated>);

impl Returned {
    /// Reads the jobs of those messages that have come back: one call, or none. A read that fails is not an error: the
    /// claims, each by itself, tell.
    pub(in crate::engine) async fn read(engine: &Engine, messages: &[Received]) -> Self {
        let now = engine.now_ms();
        let mut ids: Vec<JobId> =
            messages.iter().filter(|message| has_come_back(message, now)).filter_map(job_id).cloned().collect();
        // BatchGetItem takes each key once.
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Self::default();
        }
        match engine.store.get_jobs(&ids).await {
            Ok(jobs) => {
                let mut read: HashMap<_, _> = ids.into_iter().map(|id| (id, Updated::Missing)).collect();
                read.extend(jobs.into_iter().map(|job| (job.id.clone(), Updated::Refused(Box::new(job)))));
                Self(read)
            }
            Err(error) => {
                tracing::debug!(%error, "jobs of returned messages not read; each is claimed unseen");
                Self::default()
            }
        }
    }

    /// What a claim of the message's job would be refused with, if it was read. Once: the next message of the same job
    /// looks for itself.
    pub(in crate::engine) fn take(&mut self, message: &Received) -> Option<Updated> {
        job_id(message).and_then(|id| self.0.remove(id))
    }
}

fn job_id(message: &Received) -> Option<&JobId> {
    message.job.as_ref().map(|job| &job.id)
}

/// Whether a message has been received before and its job can have been claimed then. The message of a job that waits for
/// its time or its limit has been put back instead, and is claimed in one write when its time has come.
fn has_come_back(message: &Received, now_ms: i64) -> bool {
    let Some(job) = message.job.as_ref().filter(|job| job.limit.is_none()) else { return false };
    let due = job.due_at.or(job.wakes.as_ref().map(|time| time.at_ms));
    message.receives > 1 && due.is_none_or(|due| now_ms - due > SOON_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::SqsQueue;
    use ojs_model::ids::Ids;
    use ojs_model::message::{CronTime, JobRef};

    const NOW: i64 = 1_700_000_000_000;

    fn message(receives: i64, change: impl Fn(&mut JobRef)) -> Received {
        let mut job = JobRef {
            id: Ids::new().job_id(NOW),
            job_type: "t".to_owned(),
            queue: "q".to_owned(),
            priority: 0,
            group: None,
            due_at: None,
            limit: None,
            wakes: None,
        };
        change(&mut job);
        Received {
            sqs_queue: SqsQueue::jobs("q"),
            receipt: "r".to_owned(),
            job: Some(job),
            sent_at_ms: NOW - 100_000,
            receives,
            group: None,
        }
    }

    #[test]
    fn only_messages_of_jobs_that_may_run_are_read_first() {
        for (came_back, receives, due_at, limit, wakes_at) in [
            (false, 1, None, None, None),
            (true, 2, None, None, None),
            (true, 500, None, None, None),
            // Met in its last second, and put back.
            (false, 2, Some(NOW), None, None),
            (false, 2, Some(NOW + 60_000), None, None),
            (true, 2, Some(NOW - 60_000), None, None),
            // Waits for a limit, which is asked first.
            (false, 2, None, Some("key"), None),
            (false, 2, None, None, Some(NOW)),
            (true, 2, None, None, Some(NOW - 60_000)),
        ] {
            let message = message(receives, |job| {
                job.due_at = due_at;
                job.limit = limit.map(str::to_owned);
                job.wakes = wakes_at.map(|at_ms| CronTime { name: "c".to_owned(), at_ms });
            });
            assert_eq!(has_come_back(&message, NOW), came_back, "{message:?}");
        }
        let not_ours = Received { job: None, ..message(2, |_| {}) };
        assert!(!has_come_back(&not_ours, NOW));
    }
}
