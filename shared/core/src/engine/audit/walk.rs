//! The audit: a slow walk through the table that finds what stands still without anything coming across it.
//!
//! It looks at what is live only and compares nothing with SQS: a job that has waited for long gets its message again, at
//! intervals that double. It is the only `Scan` of the system.

use std::collections::{BTreeSet, HashMap};

use super::position::Position;
use super::resend::Attended;
use crate::engine::Engine;
use crate::engine::tick::{Tick, TickBudget};
use crate::observe::metrics;
use crate::store::{LiveJob, MAX_WALK_PAGE, WalkPage};
use ojs_model::error::{ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::unique::Lock;
use ojs_model::job::{Job, State, may_send_again};

/// What the progress note is called.
const PROGRESS: &str = "audit";
/// The message of a job that has been available for this long is sent again, ms. Longer than what comes across a job waits: the
/// walk sees every healthy backlog as well.
const WAITS_MS: i64 = 15 * 60_000;
/// A job of a paused queue gets its message again only to keep it from being deleted by SQS, which happens after 14 days, ms.
const PAUSED_MS: i64 = 4 * 86_400_000;

/// What the audit did in one tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Audited {
    /// Items read.
    pub items: usize,
    /// Jobs whose message was sent again.
    pub resent: usize,
    /// Jobs whose end by the clock was written down.
    pub ended: usize,
    /// Running workflows looked at.
    pub workflows: usize,
    /// Batches ended whose request had died.
    pub batches: usize,
    /// Locks of unique jobs removed or released.
    pub locks: usize,
    /// Jobs, workflows, batches and locks that failed; the next pass tries again.
    pub failed: usize,
    /// Whether a pass through the whole table has ended.
    pub passed: bool,
}

impl Audited {
    fn add(&mut self, attended: Attended) {
        self.resent += attended.resent;
        self.ended += attended.ended;
        self.failed += attended.failed;
    }
}

impl Engine {
    /// Walks on through the table: at most `OJS_AUDIT_ITEMS_PER_TICK` items, from where the tick before has got to, a pass at most
    /// every `OJS_AUDIT_PERIOD_SECONDS`. Sends the messages again of jobs that have been available for a quarter of an hour, then
    /// each time that has doubled, then each week; writes down what the clock has ended; moves running workflows on; ends batches
    /// that were left; removes locks without a job.
    ///
    /// Any number of ticks may race, and each may end anywhere: what it has done is done twice then, which does no harm (I5).
    ///
    /// # Errors
    /// The AWS error of a read or of the note; what was done stays done, and the next tick goes on or does it again.
    pub async fn audit(&self, budget: TickBudget) -> Result<Audited> {
        if self.settings.audit_items_per_tick == 0 {
            return Ok(Audited::default());
        }
        let tick = Tick::new(self, budget);
        let noted = Position::read(self.store.progress(PROGRESS).await?.as_deref());
        let Some(mut position) = Position::go_on(noted, self.now_ms(), self.settings.audit_period_ms) else {
            return Ok(Audited::default());
        };
        let mut done = Audited::default();
        let walked = self.walk_on(&mut position, &mut done, &tick).await;
        if done.items > 0 || walked.is_ok() {
            position.items += done.items as u64;
            position.resent += done.resent as u64;
            self.store.note_progress(PROGRESS, Some(&position.noted())).await?;
        }
        metrics::audited(done.resent, done.ended);
        if done.passed {
            let took_ms = self.now_ms() - position.began_at;
            tracing::info!(
                items = position.items,
                resent = position.resent,
                took_ms,
                "the audit has passed through the table"
            );
        }
        walked.map(|()| done)
    }

    /// Does the same at once with the whole table and sends the message of every live job that is to have one: for queues that
    /// are known to be empty, as those of the local stack when it starts.
    ///
    /// # Errors
    /// The AWS error of a read; what was done stays done.
    pub async fn recover(&self) -> Result<Audited> {
        let tick = Tick::new(self, TickBudget::UNLIMITED);
        let (mut done, mut after) = (Audited::default(), None);
        while !done.passed {
            let page = self.store.walk(after.as_ref(), MAX_WALK_PAGE).await?;
            let jobs: Vec<JobId> = page.jobs.iter().map(|job| job.id.clone()).collect();
            self.attend_jobs(&jobs, &mut done, |job| {
                !job.in_due_index && job.parked.is_none() && job.state != State::Pending
            })
            .await?;
            self.attend_others(&page, |_| true, &mut done, &tick).await?;
            done.items += page.read;
            done.passed = page.next.is_none();
            after = page.next;
        }
        Ok(done)
    }

    async fn walk_on(&self, position: &mut Position, done: &mut Audited, tick: &Tick<'_>) -> Result<()> {
        while done.items < self.settings.audit_items_per_tick && (done.items == 0 || tick.has_time()) {
            let left = self.settings.audit_items_per_tick - done.items;
            let page = self.store.walk(position.after.as_ref(), left).await?;
            let now = self.now_ms();
            self.audit_jobs(&page.jobs, position, now, done).await?;
            self.attend_others(&page, |since| now - since >= WAITS_MS, done, tick).await?;
            // An empty page counts, too: a walk must end.
            done.items += page.read.max(1);
            position.after = page.next;
            if position.after.is_none() {
                done.passed = true;
                break;
            }
        }
        Ok(())
    }

    /// Reads those of a page's jobs that may stand still, and attends to them.
    async fn audit_jobs(&self, seen: &[LiveJob], position: &Position, now: i64, done: &mut Audited) -> Result<()> {
        let may_stand: Vec<JobId> =
            seen.iter().filter(|job| may_stand(job, position, now)).map(|job| job.id.clone()).collect();
        if may_stand.is_empty() {
            return Ok(());
        }
        let jobs = self.readable_jobs(&may_stand).await?;
        let paused = self.paused_among(jobs.iter().map(|job| job.queue.as_str())).await?;
        let jobs = self.only_committed(jobs).await?;
        let again = |job: &Job| {
            let least_ms = if paused.contains(&job.queue) { PAUSED_MS } else { WAITS_MS };
            job.waits_since(now).is_some_and(|since| now - since >= least_ms && is_marked(since, position, now))
        };
        let attended = self.attend(&jobs, now, again).await;
        done.add(attended);
        Ok(())
    }

    /// Reads jobs; one that cannot be read is logged and passed over (I7).
    async fn readable_jobs(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        match self.store.get_jobs(ids).await {
            Err(error) if error.code == ErrorCode::InternalError => {}
            read => return read,
        }
        let mut jobs = Vec::new();
        for id in ids {
            match self.store.get_job(id).await {
                Ok(job) => jobs.extend(job),
                Err(error) if error.code == ErrorCode::InternalError => {
                    tracing::error!(job_id = %id, %error, "a job cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(jobs)
    }

    async fn attend_jobs(&self, ids: &[JobId], done: &mut Audited, again: impl Fn(&Job) -> bool) -> Result<()> {
        let jobs = self.only_committed(self.readable_jobs(ids).await?).await?;
        let attended = self.attend(&jobs, self.now_ms(), again).await;
        done.add(attended);
        Ok(())
    }

    /// Workflows, batches and locks of a page that have been there for `long`.
    async fn attend_others(
        &self,
        page: &WalkPage,
        long: impl Fn(i64) -> bool,
        done: &mut Audited,
        tick: &Tick<'_>,
    ) -> Result<()> {
        for (id, _) in page.workflows.iter().filter(|(_, made_at)| long(*made_at)) {
            if !tick.has_time() {
                return Ok(());
            }
            done.workflows += 1;
            if let Err(error) = Box::pin(self.resume_workflow(id)).await {
                done.failed += 1;
                tracing::warn!(workflow_id = %id, %error, "workflow not advanced; the next pass tries again");
            }
        }
        let batches: Vec<_> = page.batches.iter().filter(|(_, due_at)| long(*due_at)).cloned().collect();
        done.batches += batches.len();
        Box::pin(self.conclude_batches(&batches, tick)).await;
        let locks: Vec<&Lock> = page.locks.iter().filter(|lock| long(lock.job.made_at_ms())).collect();
        self.audit_locks(&locks, done).await
    }

    /// Removes locks whose job is gone, and does for jobs that have ended what their ends have left undone.
    async fn audit_locks(&self, locks: &[&Lock], done: &mut Audited) -> Result<()> {
        if locks.is_empty() {
            return Ok(());
        }
        let ids: BTreeSet<JobId> = locks.iter().map(|lock| lock.job.clone()).collect();
        let ids: Vec<JobId> = ids.into_iter().collect();
        // Where one cannot be read, none is taken for gone.
        let holders = match self.store.get_jobs(&ids).await {
            Err(error) if error.code == ErrorCode::InternalError => {
                tracing::error!(%error, "holders of unique locks cannot be read");
                return Ok(());
            }
            read => read?,
        };
        let holders: HashMap<JobId, Job> = holders.into_iter().map(|job| (job.id.clone(), job)).collect();
        for lock in locks {
            let freed = match holders.get(&lock.job) {
                None => self.store.drop_lock(lock).await,
                Some(holder) if holder.state.is_terminal() => self.release_lock(holder).await,
                Some(_) => continue,
            };
            match freed {
                Ok(()) => done.locks += 1,
                Err(error) => {
                    done.failed += 1;
                    tracing::warn!(job_id = %lock.job, %error, "unique lock not removed; the next pass tries again");
                }
            }
        }
        Ok(())
    }
}

/// Whether a job as the walk saw it is worth a read: it may wait for long, or have ended by the clock.
fn may_stand(job: &LiveJob, position: &Position, now: i64) -> bool {
    if job.state != State::Active && job.expires_at.is_some_and(|at| at <= now) {
        return true;
    }
    let Some(ready_at) = job.ready_at.filter(|_| !job.in_due_index && job.state != State::Pending) else {
        return false;
    };
    // What a lapsed lease leads to, only the job tells.
    now - ready_at >= WAITS_MS && (job.state == State::Active || is_marked(ready_at, position, now))
}

/// Whether a mark has been passed since the last pass saw the job, so that each mark makes one message.
fn is_marked(since: i64, position: &Position, now: i64) -> bool {
    may_send_again(position.waited_before(since), now - since, WAITS_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ojs_model::ids::Ids;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn only_what_may_stand_still_is_read() {
        let id = Ids::new().job_id(NOW);
        let live = |state, ready_at, expires_at, in_due_index| LiveJob {
            id: id.clone(),
            state,
            ready_at: Some(ready_at),
            expires_at,
            in_due_index,
        };
        let (long, short) = (NOW - WAITS_MS, NOW - WAITS_MS + 1);
        let first = Position { began_at: NOW, ..Position::default() };
        for (job, wanted) in [
            (live(State::Available, long, None, false), true),
            (live(State::Available, short, None, false), false),
            (live(State::Scheduled, long, None, false), true),
            (live(State::Scheduled, long, None, true), false),
            (live(State::Retryable, short, None, false), false),
            (live(State::Active, long, None, false), true),
            (live(State::Active, short, None, false), false),
            (live(State::Active, short, Some(NOW), false), false),
            (live(State::Available, short, Some(NOW), false), true),
            (live(State::Available, short, Some(NOW + 1), false), false),
            (live(State::Scheduled, short, Some(NOW), true), true),
            (live(State::Pending, long, None, false), false),
            (live(State::Pending, long, Some(NOW), true), true),
        ] {
            assert_eq!(may_stand(&job, &first, NOW), wanted, "{job:?}");
        }
        let second = Position { began_at: NOW, before_at: Some(NOW - 60_000), ..Position::default() };
        let waits = |ms: i64| live(State::Available, NOW - ms, None, false);
        assert!(!may_stand(&waits(WAITS_MS + 61_000), &second, NOW), "the last pass has sent it");
        assert!(may_stand(&waits(WAITS_MS + 59_000), &second, NOW));
        assert!(may_stand(&waits(2 * WAITS_MS + 59_000), &second, NOW));
    }
}
