use futures::future::join_all;
use futures::stream::{self, StreamExt};
use tracing::Instrument;

use super::fire::{Fire, Outcome};
use crate::engine::Engine;
use crate::engine::tick::{LOOKAHEAD_MS, Tick, TickBudget};
use crate::observe::trace::SPANS;
use crate::store::{CronDueEntry, keys};
use ojs_model::cron::Cron;
use ojs_model::error::{Error, Result};

/// Cron jobs per query.
const PAGE: usize = 100;
/// Cron jobs worked on at a time, per shard.
const CONCURRENCY: usize = 8;

/// What a tick did with the cron jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CronTicked {
    /// Occurrences that made a job.
    pub fired: usize,
    /// Occurrences that the overlap policy skipped.
    pub skipped: usize,
    /// Messages sent ahead for occurrences to come.
    pub woken: usize,
    /// Cron jobs that failed; the next tick tries again.
    pub failed: usize,
    /// Whether the tick ended at its budget with cron jobs left.
    pub more: bool,
}

impl Engine {
    /// Looks at the cron jobs whose time has come or comes within [`LOOKAHEAD_MS`], all shards at once: fires what is due,
    /// and sends a message ahead for what is not, which then fires on its second when a worker fetches it.
    ///
    /// Any number of ticks and fetches may race. A cron job that fails is passed over (I7).
    ///
    /// # Errors
    /// The AWS error, if nothing at all could be done; what was done stays done, and the next tick goes on.
    pub async fn cron_tick(&self, budget: TickBudget) -> Result<CronTicked> {
        let span = tracing::info_span!(target: SPANS, "ojs.cron trigger");
        self.cron_tick_all(budget).instrument(span).await
    }

    async fn cron_tick_all(&self, budget: TickBudget) -> Result<CronTicked> {
        let tick = Tick::new(self, budget);
        let (mut total, mut failure) = (CronTicked::default(), None);
        for (shard, error) in join_all((0..keys::CRON_SHARDS).map(|shard| self.cron_shard(shard, &tick))).await {
            total.add(shard);
            failure = failure.or(error);
        }
        match failure {
            Some(error) if total.fired + total.skipped + total.woken == 0 => Err(error),
            Some(error) => {
                tracing::warn!(failed = total.failed, %error, "a tick left cron jobs behind");
                Ok(total)
            }
            None => Ok(total),
        }
    }

    async fn cron_shard(&self, shard: u32, tick: &Tick<'_>) -> (CronTicked, Option<Error>) {
        let (mut done, mut failure, mut after) = (CronTicked::default(), None, None);
        let until = self.now_ms() + LOOKAHEAD_MS;
        for page in 0.. {
            // The query below takes the place.
            let after_page = after.take();
            if page > 0 && !tick.has_time() {
                done.more = true;
                break;
            }
            let limit = i32::try_from(PAGE).unwrap_or(i32::MAX);
            let (entries, next) = match self.store.crons_due_before(shard, until, after_page, limit).await {
                Ok(entries) => entries,
                Err(error) => {
                    failure = failure.or(Some(error));
                    break;
                }
            };
            for (part, error) in self.cron_page(&entries, tick).await {
                done.add(part);
                failure = failure.or(error);
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        (done, failure)
    }

    async fn cron_page(&self, entries: &[CronDueEntry], tick: &Tick<'_>) -> Vec<(CronTicked, Option<Error>)> {
        let now = self.now_ms();
        let (due, ahead): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.next_run_at <= now);
        let ahead: Vec<_> =
            ahead.into_iter().filter(|entry| !entry.woken).map(|entry| self.wake_entry(entry, now)).collect();
        let mut answers: Vec<_> = stream::iter(ahead).buffer_unordered(CONCURRENCY).collect().await;
        if due.is_empty() {
            return answers;
        }
        let names: Vec<String> = due.into_iter().map(|entry| entry.name.clone()).collect();
        match self.store.get_crons(&names).await {
            Ok((crons, unread)) => {
                if unread > 0 {
                    tracing::error!(unread, "cron jobs cannot be read");
                    answers.push((CronTicked { failed: unread, ..CronTicked::default() }, None));
                }
                let each: Vec<_> = crons.into_iter().map(|cron| self.fire_all(cron, tick)).collect();
                answers.extend(stream::iter(each).buffer_unordered(CONCURRENCY).collect::<Vec<_>>().await);
            }
            Err(error) => answers.push((CronTicked { failed: names.len(), ..CronTicked::default() }, Some(error))),
        }
        answers
    }

    /// Sends a message ahead, and notes it.
    async fn wake_entry(&self, entry: &CronDueEntry, now: i64) -> (CronTicked, Option<Error>) {
        let woken = async {
            self.send_before_write(&entry.message, (entry.next_run_at - now).max(0) / 1_000).await?;
            self.store.note_cron_woken(&entry.name, entry.next_run_at).await
        };
        match woken.await {
            Ok(()) => (CronTicked { woken: 1, ..CronTicked::default() }, None),
            Err(error) => (CronTicked { failed: 1, ..CronTicked::default() }, Some(error)),
        }
    }

    /// Fires every occurrence of a cron job that is due.
    async fn fire_all(&self, mut cron: Cron, tick: &Tick<'_>) -> (CronTicked, Option<Error>) {
        let mut done = CronTicked::default();
        for round in 0.. {
            if round > 0 && !tick.has_time() {
                done.more = true;
                break;
            }
            match self.fire(cron, None).await {
                Ok(Fire::Over { cron: after, outcome, .. }) => {
                    done.fired += usize::from(outcome == Outcome::Fired);
                    done.skipped += usize::from(outcome == Outcome::Skipped);
                    cron = *after;
                }
                Ok(Fire::NotDue | Fire::Gone) => break,
                Ok(Fire::Raced) => {
                    done.failed += 1;
                    break;
                }
                Err(error) => {
                    done.failed += 1;
                    return (done, Some(error));
                }
            }
        }
        (done, None)
    }
}

impl CronTicked {
    fn add(&mut self, other: Self) {
        self.fired += other.fired;
        self.skipped += other.skipped;
        self.woken += other.woken;
        self.failed += other.failed;
        self.more |= other.more;
    }
}
