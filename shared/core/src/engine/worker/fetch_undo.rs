use std::sync::Arc;

use futures::future::join_all;

use crate::engine::Engine;
use crate::engine::job::transition::{Decided, Transition, must_fit};
use ojs_model::error::Result;
use ojs_model::job::{Event, Job, step};

impl Engine {
    /// Undoes claims whose jobs do not reach their worker: each is available again, and the attempt does not count. First the
    /// job, in one update that its lease token fences, then its slots and its message; after a crash in between the message
    /// comes back by itself. A claim that cannot be undone ends with its lease.
    pub(in crate::engine) async fn unclaim(&self, jobs: &[Job]) {
        let each = jobs.iter().map(|job| async move {
            match self.unclaim_one(job).await {
                Ok(true) => {
                    self.release_slots(job).await;
                    let receipt = job.lease.as_ref().and_then(|lease| lease.receipt.as_ref());
                    self.hide(job, receipt, 0).await;
                    tracing::info!(job_id = %job.id, queue = job.queue, attempt = job.attempt, "claim undone");
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(job_id = %job.id, %error, "claim not undone; its lease lapses"),
            }
        });
        join_all(each).await;
    }

    /// Whether the job is available again.
    async fn unclaim_one(&self, claimed: &Job) -> Result<bool> {
        let Some(token) = claimed.lease.as_ref().map(|lease| lease.token.clone()) else { return Ok(false) };
        let undone = self.transition(claimed.clone(), must_fit("an undone claim"), async |stored: Arc<Job>| {
            // Asked to stop, for instance, the job has changed and the lease may still be this one.
            Ok(match step(&stored, Event::Unclaim { token: token.clone() }, self.now_ms()) {
                Ok(change) => Decided::Write(Box::new(change.job)),
                Err(_) => Decided::Answer(Box::new(Job::clone(&stored))),
            })
        });
        Ok(matches!(undone.await?, Transition::Written { .. }))
    }
}
