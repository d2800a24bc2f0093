use std::collections::BTreeMap;

use futures::future::{join, join_all};
use futures::stream::{self, StreamExt};

use super::Engine;
use super::follow::{Wake, wake};
use super::tick::{LOOKAHEAD_MS, Tick, TickBudget};
use crate::error::{Error, ErrorCode, Result};
use crate::store::DueEntry;
use crate::transport::{JobRef, MAX_BATCH};

/// Jobs per query.
const PAGE: usize = 200;
/// Batches of messages under way at a time, per shard.
const CONCURRENCY: usize = 8;

/// What a tick did with the due index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promoted {
    /// Jobs whose message was sent.
    pub sent: usize,
    /// Jobs that failed; the next tick tries again.
    pub failed: usize,
    /// Whether the tick ended at its budget with jobs left.
    pub more: bool,
}

impl Engine {
    /// Sends the messages of jobs in the due index that come due within [`LOOKAHEAD_MS`], all shards at once and in each
    /// the oldest first: ten messages a call, then one conditional update per job that takes it out of the index.
    ///
    /// Any number of ticks may race: a message too many is refused by the claim (I5). A job or a queue that fails is
    /// passed over, so that it delays only itself (I7). What the budget leaves is for the next tick.
    ///
    /// # Errors
    /// The AWS error, if nothing at all could be done; what was done stays done, and the next tick goes on.
    pub async fn promote(&self, budget: TickBudget) -> Result<Promoted> {
        let tick = Tick::new(self, budget);
        let shards = self.store.due_shards();
        let shards = (0..shards).map(|shard| self.promote_shard(shard, budget.share(shard, shards), &tick));
        let (mut total, mut failure) = (Promoted::default(), None);
        for (shard, error) in join_all(shards).await {
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

    async fn promote_shard(&self, shard: u32, mut left: usize, tick: &Tick<'_>) -> (Promoted, Option<Error>) {
        let (mut done, mut failure) = (Promoted::default(), None);
        let until = self.now_ms() + LOOKAHEAD_MS;
        let mut page = Ok((Vec::new(), true));
        let mut after = None;
        for round in 0.. {
            // The next page is asked for while this one is worked on.
            let (entries, next) = match page {
                Ok((entries, more)) => {
                    let wanted = if more && (round == 0 || tick.has_time()) { left.min(PAGE) } else { 0 };
                    done.more |= more && wanted == 0;
                    (entries, wanted)
                }
                Err(error) => {
                    failure = failure.or(Some(error));
                    break;
                }
            };
            if entries.is_empty() && next == 0 {
                break;
            }
            left -= next;
            after = entries.last().cloned().or(after);
            let read = async {
                if next == 0 {
                    return Ok((Vec::new(), false));
                }
                let limit = i32::try_from(next).unwrap_or(i32::MAX);
                let entries = self.store.due_before(shard, until, after.as_ref(), limit).await?;
                let full = entries.len() >= next;
                Ok((entries, full))
            };
            let (results, read) = join(self.promote_page(&entries, tick), read).await;
            for result in results {
                match result {
                    Ok(()) => done.sent += 1,
                    Err(error) => {
                        done.failed += 1;
                        failure = failure.or(Some(error));
                    }
                }
            }
            page = read;
        }
        (done, failure)
    }

    /// Sends and takes out of the index what one query has answered.
    async fn promote_page(&self, entries: &[DueEntry], tick: &Tick<'_>) -> Vec<Result<()>> {
        let mut queues: BTreeMap<&str, Vec<&DueEntry>> = BTreeMap::new();
        for entry in entries {
            queues.entry(&entry.queue).or_default().push(entry);
        }
        let batches: Vec<_> = queues
            .iter()
            .flat_map(|(queue, entries)| entries.chunks(MAX_BATCH).map(|batch| self.promote_batch(queue, batch, tick)))
            .collect();
        stream::iter(batches).buffer_unordered(CONCURRENCY).collect::<Vec<_>>().await.into_iter().flatten().collect()
    }

    /// Sent before they leave the index: a crash in between sends them once more.
    async fn promote_batch(&self, queue: &str, entries: &[&DueEntry], tick: &Tick<'_>) -> Vec<Result<()>> {
        if tick.is_failing(queue) {
            let error = Error::new(ErrorCode::BackendUnavailable, format!("Queue '{queue}' keeps failing."));
            return entries.iter().map(|_| Err(error.clone())).collect();
        }
        let now = self.now_ms();
        let messages: Vec<_> = entries
            .iter()
            .map(|entry| {
                let delay_s = match wake(Some(entry.due_at), now) {
                    Wake::Message(delay_s) => delay_s,
                    // Not within the look-ahead.
                    Wake::DueIndex => crate::transport::MAX_DELAY_S,
                };
                (
                    JobRef {
                        id: entry.id.clone(),
                        job_type: entry.job_type.clone(),
                        queue: queue.to_owned(),
                        due_at: Some(entry.due_at),
                        wakes: None,
                    },
                    delay_s,
                )
            })
            .collect();
        let sent = self.transport.send_batch(queue, &messages).await;
        tick.note(queue, sent.iter().all(Result::is_err));
        let leave = entries.iter().zip(sent).map(|(entry, sent)| async move {
            sent?;
            self.store.leave_due_index(entry).await
        });
        join_all(leave).await
    }
}
