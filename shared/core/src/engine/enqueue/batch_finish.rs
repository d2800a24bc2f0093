//! What is left to do for a batch once it is decided: by the request itself, or by a tick for one that died.

use futures::stream::{self, StreamExt};

use crate::engine::Engine;
use crate::engine::job::effects::Redelivery;
use crate::engine::tick::Tick;
use ojs_model::batch::{ABORTED_MS, Batch, BatchState};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Job, State};
use ojs_model::message::JobRef;

/// Jobs dropped at a time.
const CONCURRENCY: usize = 16;

impl Engine {
    /// Ends the batches whose time has come, one after the other; those that fail stay for the next tick.
    pub(in crate::engine) async fn conclude_batches(&self, batches: &[(JobId, i64)], tick: &Tick<'_>) {
        let now = self.now_ms();
        for (id, _) in batches.iter().filter(|(_, due_at)| *due_at <= now) {
            if !tick.has_time() {
                return;
            }
            if let Err(error) = self.conclude_batch(id).await {
                tracing::warn!(batch_id = %id, %error, "batch not ended; the next tick tries again");
            }
        }
    }

    async fn conclude_batch(&self, id: &JobId) -> Result<()> {
        let Some(batch) = self.store.get_batch(id).await? else { return Ok(()) };
        match batch.state {
            BatchState::Committed => self.finish_batch(&batch).await,
            BatchState::Aborted => {
                self.drop_jobs(&batch).await?;
                self.store.delete_batch(id).await
            }
            BatchState::Open => {
                // Its request has died, or hangs: it was never answered, and what it wrote goes. What it is still to write
                // goes when a tick looks again.
                if !self.store.abort_batch(id, self.now_ms() + ABORTED_MS).await? {
                    // Committed in this moment.
                    return Ok(());
                }
                tracing::warn!(batch_id = %id, jobs = batch.jobs.len(), "unfinished batch aborted");
                self.drop_jobs(&batch).await
            }
        }
    }

    /// Sends the messages of a committed batch's jobs that no worker has claimed, and forgets the batch.
    async fn finish_batch(&self, batch: &Batch) -> Result<()> {
        let now = self.now_ms();
        let jobs = self.store.get_jobs(&batch.jobs).await?;
        let waiting = jobs.iter().filter(|job| job.batch.as_ref() == Some(&batch.id) && job.attempt == 0);
        let messages: Vec<_> = waiting.filter_map(|job| Some((JobRef::to(job), self.delay_of(job, now)?))).collect();
        self.send_all(&messages).await.into_iter().collect::<Result<()>>()?;
        tracing::info!(batch_id = %batch.id, messages = messages.len(), "batch finished");
        self.store.delete_batch(&batch.id).await
    }

    /// Deletes what an aborted batch has written: its jobs, and before them their locks.
    pub(in crate::engine) async fn drop_jobs(&self, batch: &Batch) -> Result<()> {
        let jobs = self.store.get_jobs(&batch.jobs).await?;
        let drop = jobs.iter().filter(|job| job.batch.as_ref() == Some(&batch.id)).map(|job| async {
            if let Some(key) = &job.unique_key {
                self.store.release_lock(job, key, false).await?;
            }
            self.store.delete_job_of(&job.id, &batch.id).await
        });
        let dropped: Vec<Result<()>> =
            stream::iter(drop.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY).collect().await;
        dropped.into_iter().collect()
    }

    /// The delay of the message that a job is to have, s; `None` for one that needs none.
    pub(in crate::engine) fn delay_of(&self, job: &Job, now_ms: i64) -> Option<i64> {
        let current = job.as_of(now_ms);
        let waits = matches!(current.state, State::Available | State::Scheduled) && !job.in_due_index;
        match self.redelivery(current.due_at, now_ms) {
            Redelivery::Delayed(delay_s) if waits => Some(delay_s),
            _ => None,
        }
    }
}
