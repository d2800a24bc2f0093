use std::collections::HashMap;

use crate::engine::Engine;
use ojs_model::batch::{BatchCommit, batch_commit};
use ojs_model::error::Result;
use ojs_model::job::Job;

impl Engine {
    /// Whether a stored job is there: one read where it came with a batch and no worker has claimed it yet.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::engine) async fn batch_commit(&self, job: &Job) -> Result<BatchCommit> {
        let Some(id) = &job.batch else { return Ok(BatchCommit::Committed) };
        let state = self.store.batch_states(&[id]).await?.into_iter().next().map(|(_, state)| state);
        Ok(batch_commit(job, state))
    }

    /// Those of the stored jobs that are there: one read per 100 batches that they came with.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::engine) async fn only_committed(&self, mut jobs: Vec<Job>) -> Result<Vec<Job>> {
        let mut ids: Vec<_> = jobs.iter().filter_map(|job| job.batch.as_ref()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(jobs);
        }
        let states: HashMap<_, _> = self.store.batch_states(&ids).await?.into_iter().collect();
        jobs.retain(|job| {
            let state = job.batch.as_ref().and_then(|id| states.get(id).copied());
            batch_commit(job, state) == BatchCommit::Committed
        });
        Ok(jobs)
    }
}
