use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};

use super::Engine;
use super::follow::{Wake, wake};
use crate::error::Result;
use crate::store::DueEntry;
use crate::transport::JobRef;

/// How far a tick looks ahead, ms: past a period of one minute, so that every job gets its exact delay from SQS.
pub const LOOKAHEAD_MS: i64 = 120_000;
/// Jobs per query.
const PAGE: i32 = 100;
/// Jobs promoted at a time, per shard.
const CONCURRENCY: usize = 8;

/// What a tick did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promoted {
    /// Jobs whose message was sent.
    pub sent: usize,
    /// Whether the tick ended at its bound with jobs left.
    pub more: bool,
}

impl Engine {
    /// Sends the messages of jobs in the due index that come due within [`LOOKAHEAD_MS`], at most `pages` of 100 per
    /// shard: a send, then one conditional update that takes the job out of the index.
    ///
    /// Any number of ticks may race: a message too many is refused by the claim (I5).
    ///
    /// # Errors
    /// The AWS error; what was done stays done, and the next tick goes on.
    pub async fn promote(&self, pages: usize) -> Result<Promoted> {
        let shards = (0..self.store.due_shards()).map(|shard| self.promote_shard(shard, pages));
        let mut total = Promoted::default();
        for shard in futures::future::join_all(shards).await {
            let shard = shard?;
            total.sent += shard.sent;
            total.more |= shard.more;
        }
        Ok(total)
    }

    /// Promotes until nothing is left to do or `budget` is used up: a tick of the scheduler function. After an outage
    /// the oldest go first, and the next ticks go on.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub async fn promote_for(&self, budget: Duration) -> Result<Promoted> {
        let started = Instant::now();
        let mut total = Promoted::default();
        loop {
            let done = self.promote(1).await?;
            total.sent += done.sent;
            total.more = done.more;
            if !done.more || started.elapsed() >= budget {
                return Ok(total);
            }
        }
    }

    async fn promote_shard(&self, shard: u32, pages: usize) -> Result<Promoted> {
        let mut done = Promoted::default();
        for _ in 0..pages {
            let until = self.now_ms() + LOOKAHEAD_MS;
            let entries = self.store.due_before(shard, until, PAGE).await?;
            let last = entries.len() < usize::try_from(PAGE).unwrap_or(0);
            let each: Vec<_> = entries.iter().map(|entry| self.promote_one(entry)).collect();
            let results: Vec<Result<()>> = stream::iter(each).buffer_unordered(CONCURRENCY).collect().await;
            done.sent += results.iter().filter(|r| r.is_ok()).count();
            results.into_iter().collect::<Result<()>>()?;
            if last {
                return Ok(done);
            }
        }
        done.more = true;
        Ok(done)
    }

    /// Sent before it leaves the index: a crash in between sends it once more.
    async fn promote_one(&self, entry: &DueEntry) -> Result<()> {
        let Wake::Message(delay_s) = wake(Some(entry.due_at), self.now_ms()) else { return Ok(()) };
        let job = JobRef { id: entry.id.clone(), job_type: entry.job_type.clone(), queue: entry.queue.clone() };
        self.transport.send(&job, delay_s).await?;
        self.store.leave_due_index(entry).await
    }
}
