use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::{join, join_all};
use futures::stream::{self, StreamExt};
use tracing::Instrument;

use super::{Tick, TickBudget};
use crate::engine::Engine;
use crate::engine::job::effects::Redelivery;
use crate::observe::trace::SPANS;
use crate::store::DueEntry;
use crate::transport::MAX_BATCH;
use ojs_model::error::{Error, Result};

/// Jobs per query.
const PAGE: usize = 200;
/// Batches of messages under way at a time, per shard.
const CONCURRENCY: usize = 8;

/// What a tick did with the due index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DueSent {
    /// Jobs whose message was sent.
    pub sent: usize,
    /// Jobs that failed; the next tick tries again.
    pub failed: usize,
    /// Whether the tick ended at its budget with jobs left.
    pub more: bool,
}

impl Engine {
    /// Sends the messages of jobs in the due index that come due within [`LOOKAHEAD_MS`](crate::engine::LOOKAHEAD_MS), all shards at once and in each
    /// the oldest first: ten messages a call, then one conditional update per job that takes it out of the index.
    ///
    /// Any number of ticks may race: a message too many is refused by the claim (I5). A job or a queue that fails is
    /// passed over, so that it delays only itself (I7). What the budget leaves is for the next tick. Beside the jobs it
    /// finishes batches and goes on with workflows whose requests crashed.
    ///
    /// # Errors
    /// The AWS error, if nothing at all could be done; what was done stays done, and the next tick goes on.
    pub async fn send_due(&self, budget: TickBudget) -> Result<DueSent> {
        let span = tracing::info_span!(target: SPANS, "ojs.scheduler poll");
        self.send_due_within(budget).instrument(span).await
    }

    async fn send_due_within(&self, budget: TickBudget) -> Result<DueSent> {
        let tick = Tick::new(self, budget);
        let shards = self.store.due_shards();
        let jobs = (0..shards).map(|shard| self.send_due_of_shard(shard, budget.share(shard, shards), &tick));
        // Boxed: they are deep, and there is hardly ever one.
        let unfinished = (0..shards).map(|shard| self.finish_shard(shard, &tick).boxed());
        let (jobs, unfinished) = join(join_all(jobs), join_all(unfinished)).await;
        let (mut total, mut failure) = (DueSent::default(), None);
        for (shard, error) in jobs {
            total.sent += shard.sent;
            total.failed += shard.failed;
            total.more |= shard.more;
            failure = failure.or(error);
        }
        for shard in unfinished {
            match shard {
                Ok(more) => total.more |= more,
                Err(error) => failure = failure.or(Some(error)),
            }
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

    async fn send_due_of_shard(&self, shard: u32, mut left: usize, tick: &Tick<'_>) -> (DueSent, Option<Error>) {
        let (mut done, mut failure) = (DueSent::default(), None);
        let mut spare = left;
        let until = self.now_ms() + self.lookahead_ms();
        let mut entries = Vec::new();
        // Where the page after `entries` starts, if there is one.
        let mut next = Some(None);
        for round in 0.. {
            let has_budget = left > 0 && (round == 0 || tick.has_time());
            if entries.is_empty() && !(has_budget && next.is_some()) {
                done.more |= next.is_some();
                break;
            }
            // Kept where there is no budget now: jobs that fail give theirs back.
            let start = if has_budget { next.take() } else { None };
            // The next page is read while this one is worked on.
            let read = async {
                let Some(place) = start else { return Ok(None) };
                let limit = i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX);
                self.store.due_before(shard, until, place, limit).await.map(Some)
            };
            let (results, read) = join(self.send_due_page(&entries, tick), read).await;
            for result in results {
                match result {
                    Sent::Done => done.sent += 1,
                    Sent::Failed(reason) => {
                        done.failed += 1;
                        failure = failure.or(reason);
                        // What a dead queue's jobs do not use is for the others behind them (I7), at most once over:
                        // reading its backlog costs too.
                        if spare > 0 {
                            spare -= 1;
                            left += 1;
                        }
                    }
                }
            }
            match read {
                Ok(Some(page)) => {
                    left -= page.jobs.len().min(left);
                    entries = page.jobs;
                    next = page.next.map(Some);
                }
                Ok(None) => entries.clear(),
                Err(error) => {
                    failure = failure.or(Some(error));
                    break;
                }
            }
        }
        (done, failure)
    }

    /// Sends and takes out of the index what one query has answered.
    async fn send_due_page(&self, entries: &[DueEntry], tick: &Tick<'_>) -> Vec<Sent> {
        // All of one batch go to one SQS queue.
        let mut sqs_queues: BTreeMap<(&str, i64), Vec<&DueEntry>> = BTreeMap::new();
        for entry in entries {
            sqs_queues.entry((&entry.job.queue, entry.job.priority)).or_default().push(entry);
        }
        // Order on a FIFO queue is the order of the calls.
        let size = if self.transport.is_fifo() { PAGE } else { MAX_BATCH };
        let batches: Vec<_> = sqs_queues
            .values()
            .flat_map(|entries| entries.chunks(size).map(|batch| self.send_due_batch(batch, tick)))
            .collect();
        stream::iter(batches).buffer_unordered(CONCURRENCY).collect::<Vec<_>>().await.into_iter().flatten().collect()
    }

    /// Sent before they leave the index: a crash in between sends them once more.
    async fn send_due_batch(&self, entries: &[&DueEntry], tick: &Tick<'_>) -> Vec<Sent> {
        let Some(queue) = entries.first().map(|entry| entry.job.queue.as_str()) else { return Vec::new() };
        if tick.is_failing(queue) {
            return entries.iter().map(|_| Sent::Failed(None)).collect();
        }
        let now = self.now_ms();
        let messages: Vec<_> = entries
            .iter()
            .map(|entry| {
                let delay_s = match self.redelivery(Some(entry.due_at), now) {
                    Redelivery::Delayed(delay_s) => delay_s,
                    // Not within the look-ahead.
                    Redelivery::DueIndex => ojs_model::message::MAX_DELAY_S,
                };
                (entry.job.clone(), delay_s)
            })
            .collect();
        let sent = self.send_all(&messages).await;
        tick.note(queue, sent.iter().all(Result::is_err));
        let leave = entries.iter().zip(sent).map(|(entry, sent)| async move {
            sent?;
            self.store.leave_due_index(entry).await
        });
        join_all(leave)
            .await
            .into_iter()
            .map(|left| left.map_or_else(|error| Sent::Failed(Some(error)), |()| Sent::Done))
            .collect()
    }
}

/// What became of an entry of the due index.
enum Sent {
    /// Its message is sent, and it has left.
    Done,
    /// It stays for the next tick; without an error where its queue fails all the time, so that it was not tried.
    Failed(Option<Error>),
}
