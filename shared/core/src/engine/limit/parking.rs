//! Jobs that wait for a rate limit and have left their queue: no message, an entry in a partition of the due index that is
//! the limit's own.
//!
//! A job is parked first, then its limit's state says so, and only then its message is deleted. It stays parked until it
//! starts or ends: its message is sent again when the limit has room, by the write that makes room, by a fetch under the
//! limit, or by the tick; and once more if the job has not started a minute later, then after two, four and so on.

use futures::future::{join_all, try_join};
use futures::stream::{self, StreamExt};

use crate::engine::Engine;
use crate::engine::tick::Tick;
use crate::store::{DueEntry, Reserved, SENT_MS, Updated};
use ojs_model::error::Result;
use ojs_model::job::{Job, Parked};
use ojs_model::limit::{LimitState, Limits, Room};
use ojs_model::message::MAX_DELAY_S;

/// Parked jobs that are read beyond those wanted: some may have left, as the index lags, and some are of paused queues.
const SPARE: usize = 20;
/// For how long jobs of paused queues are passed over where there are more of them than are read, ms.
const PASSED_OVER_MS: i64 = 300_000;
/// Limits that a tick looks at at a time.
const CONCURRENCY: usize = 8;
/// Most parked jobs of a limit that are counted.
const MAX_COUNTED: usize = 1_000;

impl Engine {
    /// Parks a job under a limit; `false` when it has changed since it was read. Its message may be deleted only after
    /// [`Self::note_parked`].
    pub(in crate::engine) async fn park(&self, stored: &Job, limit: &str, now: i64) -> Result<bool> {
        let mut job = stored.as_of(now).into_owned();
        // The order in which they wait.
        let send_at_ms = job.enqueued_at.unwrap_or(job.created_at);
        job.parked = Some(Parked { limit: limit.to_owned(), send_at_ms, gap_ms: None });
        Ok(matches!(self.replace(stored, &job).await?, Updated::Done(_)))
    }

    /// Sends messages of jobs parked under `key` where its limit has room for them.
    ///
    /// # Errors
    /// The AWS error; some may be sent.
    pub(in crate::engine) async fn release_parked(&self, key: &str) -> Result<()> {
        match self.store.get_limit(key).await? {
            Some(state) => self.release_parked_by(key, &state).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// The same by what a write has just made of the limit's state; failures are logged, for the tick does it as well.
    pub(in crate::engine) async fn room_was_made(&self, key: &str, state: Option<LimitState>) {
        let Some(state) = state.filter(|state| state.parking.is_some()) else { return };
        if let Err(error) = Box::pin(self.release_parked_by(key, &state)).await {
            tracing::warn!(key, %error, "messages of jobs that wait for a rate limit not sent; a tick sends them");
        }
    }

    /// Whether any jobs are parked.
    async fn release_parked_by(&self, key: &str, state: &LimitState) -> Result<bool> {
        if state.parking.is_none() {
            return Ok(false);
        }
        let now = self.now_ms();
        let room = state.room(now);
        let (released, waiting) = try_join(
            // Those that were sent before have had their chance: they must not keep the room that others could use.
            self.store.count_parked(key, Some((now, room.at_ms.max(now) + SENT_MS)), room.jobs.max(1)),
            self.store.parked(key, now, room.jobs + SPARE),
        )
        .await?;
        let found = released > 0 || !waiting.is_empty() || self.store.count_parked(key, None, 1).await? > 0;
        self.reserve_and_send(key, waiting, Room { jobs: room.jobs.saturating_sub(released), ..room }, now).await?;
        Ok(found)
    }

    /// Reserves as many of these parked jobs as there is room for, in their order, and sends their messages.
    async fn reserve_and_send(&self, key: &str, waiting: Vec<DueEntry>, room: Room, now: i64) -> Result<()> {
        if room.jobs == 0 || waiting.is_empty() {
            return Ok(());
        }
        let paused_queues = self.paused_among(waiting.iter().map(|entry| entry.job.queue.as_str())).await?;
        let may_be_more = waiting.len() >= room.jobs + SPARE;
        let (paused, waiting): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|entry| paused_queues.contains(&entry.job.queue));
        let at = room.at_ms.max(now);
        let mut waiting = waiting.into_iter();
        let (mut left, mut messages) = (room.jobs, Vec::new());
        while left > 0 {
            let next: Vec<DueEntry> = waiting.by_ref().take(left).collect();
            if next.is_empty() {
                break;
            }
            let reserved = join_all(next.iter().map(|entry| self.store.reserve_parked(key, entry, at))).await;
            for (entry, reserved) in next.into_iter().zip(reserved) {
                // One that has left makes way for the next.
                left -= usize::from(!matches!(reserved, Ok(Reserved::Left)));
                match reserved {
                    Ok(Reserved::Done) => messages.push(entry),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(job_id = %entry.job.id, key, %error, "parked job not reserved; a tick tries again");
                    }
                }
            }
        }
        self.send_released(key, messages, room.at_ms, now).await;
        if left > 0 && may_be_more {
            self.pass_over(key, &paused, now + PASSED_OVER_MS).await;
        }
        Ok(())
    }

    /// Jobs of paused queues make way for those behind them.
    async fn pass_over(&self, key: &str, paused: &[DueEntry], until: i64) {
        for moved in join_all(paused.iter().map(|entry| self.store.pass_over_parked(key, entry, until))).await {
            if let Err(error) = moved {
                tracing::warn!(key, %error, "parked job of a paused queue not passed over; a tick tries again");
            }
        }
    }

    async fn send_released(&self, key: &str, entries: Vec<DueEntry>, at_ms: i64, now: i64) {
        let messages: Vec<_> = entries
            .into_iter()
            .map(|mut entry| {
                // A message that comes early waits for the limit, not for a time of its own.
                entry.job.due_at = None;
                (entry.job, ((at_ms - now).max(0) / 1_000).min(MAX_DELAY_S))
            })
            .collect();
        for ((job, _), sent) in messages.iter().zip(self.send_all(&messages).await) {
            match sent {
                Ok(()) => tracing::debug!(job_id = %job.id, key, "parked job released"),
                Err(error) => {
                    tracing::warn!(job_id = %job.id, key, %error, "message of a parked job not sent; a tick tries again");
                }
            }
        }
    }

    /// Looks at the parked jobs of these limits: holds whose jobs run no more are removed, and messages are sent where there
    /// is room. Limits that fail stay for the next tick. Whether the tick's time ended with some left.
    pub(in crate::engine) async fn sweep_limits(&self, keys: &[String], tick: &Tick<'_>) -> bool {
        let looks = keys.iter().map(|key| async move {
            if !tick.has_time() {
                return false;
            }
            if let Err(error) = Box::pin(self.sweep_limit(key)).await {
                tracing::warn!(key, %error, "jobs that wait for a rate limit not looked at; the next tick tries again");
            }
            true
        });
        let done: Vec<bool> = stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY).collect().await;
        done.contains(&false)
    }

    async fn sweep_limit(&self, key: &str) -> Result<()> {
        let Some(state) = self.without_stale_holders(key).await? else { return Ok(()) };
        let found = self.release_parked_by(key, &state).await?;
        self.note_look(key, found).await
    }

    /// How many jobs wait under a key without messages, and whether there are more than are counted: one query, where the
    /// state says that there are any.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn waiting_count(&self, key: &str, state: &LimitState) -> Result<(usize, bool)> {
        if state.parking.is_none() {
            return Ok((0, false));
        }
        let count = self.store.count_parked(key, None, MAX_COUNTED + 1).await?;
        Ok((count.min(MAX_COUNTED), count > MAX_COUNTED))
    }

    /// Notes in a limit's state that jobs are parked under it: the tick looks at them from then on.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub(in crate::engine) async fn note_parked(&self, key: &str, limits: &Limits) -> Result<()> {
        let now = self.now_ms();
        self.change_limit_by(key, |state| state.with_parked(limits, now)).await.map(|_| ())
    }

    async fn note_look(&self, key: &str, found: bool) -> Result<()> {
        let now = self.now_ms();
        self.change_limit_by(key, |state| state.looked(found, now)).await.map(|_| ())
    }
}
