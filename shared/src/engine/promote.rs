use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};

use super::Engine;
use super::follow::{Wake, wake};
use crate::error::{Error, Result};
use crate::store::DueEntry;
use crate::transport::JobRef;

/// How far a tick looks ahead, ms: past a period of one minute, so that every job gets its exact delay from SQS.
pub const LOOKAHEAD_MS: i64 = 120_000;
/// Jobs per query.
const PAGE: usize = 100;
/// Jobs promoted at a time, per shard.
const CONCURRENCY: usize = 8;

/// What a tick did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promoted {
    /// Jobs whose message was sent.
    pub sent: usize,
    /// Jobs whose message could not be sent; the next tick tries again.
    pub failed: usize,
    /// Whether the tick ended at its bound with jobs left.
    pub more: bool,
}

impl Engine {
    /// Sends the messages of jobs in the due index that come due within [`LOOKAHEAD_MS`], at most `pages` of 100 per
    /// shard: a send, then one conditional update that takes the job out of the index.
    ///
    /// Any number of ticks may race: a message too many is refused by the claim (I5). A job that cannot be sent is
    /// passed over, so that it delays only itself (I7).
    ///
    /// # Errors
    /// The AWS error, if nothing at all could be done; what was done stays done, and the next tick goes on.
    pub async fn promote(&self, pages: usize) -> Result<Promoted> {
        self.promote_while(|page| page < pages).await
    }

    /// Promotes until nothing is left to do or `budget` is used up: a tick of the scheduler function. After an outage
    /// the oldest go first, and the next ticks go on.
    ///
    /// # Errors
    /// As [`Self::promote`].
    pub async fn promote_for(&self, budget: Duration) -> Result<Promoted> {
        let started = Instant::now();
        self.promote_while(|page| page == 0 || started.elapsed() < budget).await
    }

    async fn promote_while(&self, go_on: impl Fn(usize) -> bool) -> Result<Promoted> {
        let shards = (0..self.store.due_shards()).map(|shard| self.promote_shard(shard, &go_on));
        let (mut total, mut failure) = (Promoted::default(), None);
        for (shard, error) in futures::future::join_all(shards).await {
            total.sent += shard.sent;
            total.failed += shard.failed;
            total.more |= shard.more;
            failure = failure.or(error);
        }
        match failure {
            Some(error) if total.sent == 0 => Err(error),
            Some(error) => {
                tracing::warn!(failed = total.failed, %error, "a tick left jobs behind");
                Ok(total)
            }
            None => Ok(total),
        }
    }

    async fn promote_shard(&self, shard: u32, go_on: impl Fn(usize) -> bool) -> (Promoted, Option<Error>) {
        let (mut done, mut failure, mut after) = (Promoted::default(), None, None);
        let until = self.now_ms() + LOOKAHEAD_MS;
        for page in 0.. {
            if !go_on(page) {
                done.more = true;
                break;
            }
            let limit = i32::try_from(PAGE).unwrap_or(i32::MAX);
            let mut entries = match self.store.due_before(shard, until, after.as_ref(), limit).await {
                Ok(entries) => entries,
                Err(error) => {
                    failure = failure.or(Some(error));
                    break;
                }
            };
            let each: Vec<_> = entries.iter().map(|entry| self.promote_one(entry)).collect();
            for result in stream::iter(each).buffer_unordered(CONCURRENCY).collect::<Vec<_>>().await {
                match result {
                    Ok(()) => done.sent += 1,
                    Err(error) => {
                        done.failed += 1;
                        failure = failure.or(Some(error));
                    }
                }
            }
            if entries.len() < PAGE {
                break;
            }
            after = entries.pop();
        }
        (done, failure)
    }

    /// Sent before it leaves the index: a crash in between sends it once more.
    async fn promote_one(&self, entry: &DueEntry) -> Result<()> {
        let Wake::Message(delay_s) = wake(Some(entry.due_at), self.now_ms()) else { return Ok(()) };
        let job = JobRef { id: entry.id.clone(), job_type: entry.job_type.clone(), queue: entry.queue.clone() };
        self.transport.send(&job, delay_s).await?;
        self.store.leave_due_index(entry).await
    }
}
