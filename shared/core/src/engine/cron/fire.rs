//! A cron job's time has come: its job is made once, however many fetches and ticks race.

use crate::engine::job::effects::{MAX_DELAY_MS, Redelivery};
use crate::engine::{Engine, MAX_RACES};
use crate::observe::metrics;
use crate::store::{CronUpdated, Fired, Firing};
use ojs_model::cron::{Cron, Decision, Due, OverlapPolicy, Progress, Schedule, Template, decide, due, job_id};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{CronOrigin, Event, Job, State, step};
use ojs_model::message::{CronTime, JobRef};

/// Jobs that may wait for each other before it is worth a warning (OJS cron section 6.1).
const BACKLOG_WARNING: u32 = 2;
/// How far back the jobs of a cron job are followed that ended before they ran.
const MAX_HOPS: usize = 10;

/// What came of looking at a cron job.
#[derive(Debug)]
pub(in crate::engine) enum Fire {
    /// No occurrence is due.
    NotDue,
    /// One is over.
    Over {
        /// The cron job as it is now.
        cron: Box<Cron>,
        /// The occurrence, ms since the Unix epoch.
        at_ms: i64,
        /// What came of it.
        outcome: Outcome,
    },
    /// There is no such cron job any more.
    Gone,
    /// It keeps changing: other processes write it.
    Raced,
}

/// What came of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Outcome {
    /// Its job was made.
    Fired,
    /// It made no job.
    Skipped,
    /// Its job had been made before.
    Known,
}

impl Engine {
    /// Fires the occurrence of a cron job that is due, if any: one transaction moves `next_run_at` and makes the job. Of
    /// any number of callers one succeeds; the others find that it is over.
    ///
    /// `in_hand` is the occurrence whose message the caller holds: it becomes the job's. A caller without one sends one
    /// first, so that the job has a message whatever became of the one that was sent ahead (I1). The message of the next
    /// occurrence follows the transaction; where it is lost with the process, the tick fires that occurrence.
    ///
    /// # Errors
    /// The AWS error, and then the transaction may have taken effect; `internal_error` when the stored cron job cannot be
    /// used.
    pub(in crate::engine) async fn fire(&self, mut cron: Cron, in_hand: Option<i64>) -> Result<Fire> {
        for _ in 0..MAX_RACES {
            let now = self.now_ms();
            let schedule = cron.definition.schedule().map_err(|error| unusable(&cron, &error))?;
            let Some(due) = due(&cron, &schedule, now, self.settings.cron_misfire_ms) else { return Ok(Fire::NotDue) };
            let decided = self.decide(&cron, &due, now).await?;
            if let (Decision::Skip | Decision::WaitForPrevious, Some(previous)) = &decided {
                // Its message may be lost, and then the cron job would stand still with it.
                self.resend_if_long(previous, now).await;
            }
            let fired = match decided {
                (Decision::Known, _) => self.move_on(&cron, &due, &Progress::Known, &schedule, now).await?,
                (Decision::Skip, Some(previous)) => {
                    self.move_on(&cron, &due, &Progress::Skipped(previous.id), &schedule, now).await?
                }
                (decision, previous) => {
                    let has_message = in_hand == Some(due.at_ms);
                    let id = job_id(cron.name(), due.at_ms);
                    let making = (decision, &previous);
                    let mut made = self.make_job(&cron, &due, making, &schedule, (id, has_message), now).await?;
                    if matches!(made, Made::IdTaken) {
                        // A client has given it to a job of its own: this job gets another one.
                        let at_ms = due.at_ms;
                        tracing::warn!(cron = cron.name(), at_ms, "a job has the id of this occurrence's job");
                        let id = (self.ids.job_id(now), false);
                        made = self.make_job(&cron, &due, making, &schedule, id, now).await?;
                    }
                    match made {
                        Made::Fired(fired) => Some(fired),
                        Made::Changed | Made::IdTaken => None,
                    }
                }
            };
            if let Some(fired) = fired {
                return Ok(fired);
            }
            match self.store.get_cron(cron.name()).await? {
                Some(newer) => cron = newer,
                None => return Ok(Fire::Gone),
            }
        }
        Ok(Fire::Raced)
    }

    /// What the overlap policy says of this occurrence; with the job in its way as stored, if it matters.
    async fn decide(&self, cron: &Cron, due: &Due, now: i64) -> Result<(Decision, Option<Job>)> {
        let policy = cron.definition.overlap;
        if cron.last_job == Some(job_id(cron.name(), due.at_ms)) {
            // A registration by an instance whose clock is behind has brought it back.
            return Ok((Decision::Known, None));
        }
        let previous = match &cron.last_job {
            Some(id) if policy != OverlapPolicy::Allow => self.last_that_ran(id, now).await?,
            _ => None,
        };
        let settled = previous.as_ref().map(|job| job.as_of(now));
        Ok((decide(policy, settled.as_deref(), due.as_of_ms), previous))
    }

    /// The job, as stored; or, if it ended while it waited for another one, that one, and so on.
    pub(in crate::engine) async fn last_that_ran(&self, id: &JobId, now: i64) -> Result<Option<Job>> {
        let mut id = id.clone();
        for _ in 0..MAX_HOPS {
            let Some(job) = self.store.get_job(&id).await? else { return Ok(None) };
            // The claim removes the mark, so a job that has ended with it never ran.
            match &job.waits_for {
                Some(earlier) if job.as_of(now).state.is_terminal() => id = earlier.clone(),
                _ => return Ok(Some(job)),
            }
        }
        Ok(None)
    }

    /// The occurrence makes no job. `None` when the cron job has changed since it was read.
    async fn move_on(
        &self,
        cron: &Cron,
        due: &Due,
        progress: &Progress,
        schedule: &Schedule,
        now: i64,
    ) -> Result<Option<Fire>> {
        let mut after = cron.after(due, progress, schedule, now);
        let ahead = self.message_ahead(&mut after, now);
        let outcome = match progress {
            Progress::Skipped(_) => Outcome::Skipped,
            _ => Outcome::Known,
        };
        match self.store.put_cron(Some(cron), &after, self.ids.nonce()).await? {
            CronUpdated::Done(cron) => {
                if let Progress::Skipped(job_id) = progress {
                    tracing::info!(cron = cron.name(), at_ms = due.at_ms, %job_id, "cron occurrence skipped: the job before has not ended");
                }
                self.send_or_log(ahead).await;
                Ok(Some(Fire::Over { cron, at_ms: due.at_ms, outcome }))
            }
            CronUpdated::Refused(_) => Ok(None),
            CronUpdated::Missing => Ok(Some(Fire::Gone)),
        }
    }

    /// The occurrence makes its job, with this id; whether a message that names it is in hand.
    async fn make_job(
        &self,
        cron: &Cron,
        due: &Due,
        (decision, previous): (Decision, &Option<Job>),
        schedule: &Schedule,
        (id, has_message): (JobId, bool),
        now: i64,
    ) -> Result<Made> {
        let definition = &cron.definition;
        let origin = CronOrigin {
            name: definition.name.clone(),
            expression: definition.expression.clone(),
            timezone: definition.timezone.clone(),
            at_ms: due.at_ms,
            run: cron.run_count + 1,
        };
        let made = definition.template.job_with_id(id.clone(), &origin, now, &self.ids);
        let mut job = made.map_err(|error| unusable(cron, &error))?.as_of(now).into_owned();
        let behind = previous.as_ref().filter(|_| decision == Decision::WaitForPrevious);
        job.waits_for = behind.map(|previous| previous.id.clone());
        let cancelled = match previous.as_ref().filter(|_| decision == Decision::CancelPrevious) {
            // It has ended meanwhile: look again.
            Some(previous) => match step(previous, Event::Cancel, now) {
                Ok(change) => Some((previous, change.job)),
                Err(_) => return Ok(Made::Changed),
            },
            None => None,
        };
        let waits = matches!(job.state, State::Available | State::Scheduled);
        let wake = waits.then(|| self.redelivery(job.due_at, now));
        job.in_due_index =
            wake == Some(Redelivery::DueIndex) || (job.state == State::Pending && job.expires_at.is_some());
        if let Some(Redelivery::Delayed(delay_s)) = wake
            && !has_message
        {
            let mut message = occurrence(cron.name(), due.at_ms, &cron.definition.template);
            if message.id != id {
                message = JobRef::to(&job);
            }
            self.send_before_write(&message, delay_s).await?;
        }
        let progress = Progress::Fired { job: id.clone(), behind: behind.is_some() };
        let mut after = cron.after(due, &progress, schedule, now);
        let ahead = self.message_ahead(&mut after, now);
        let cancel = cancelled.as_ref().map(|(stored, cancelled)| (*stored, cancelled));
        let firing = Firing { old: cron, new: &after, job: &job, behind, cancel };
        match self.store.fire_cron(firing, self.ids.nonce()).await? {
            Fired::Done => {}
            Fired::Refused => return Ok(Made::Changed),
            Fired::JobExists => {
                let there = self.store.get_job(&id).await?;
                // Deleted in this moment: look again.
                let Some(there) = there else { return Ok(Made::Changed) };
                let ours = |origin: &CronOrigin| origin.name == cron.name() && origin.at_ms == due.at_ms;
                if !there.cron.as_ref().is_some_and(ours) {
                    return Ok(Made::IdTaken);
                }
                // Made in an earlier life of the cron job, which was deleted and registered anew.
                let moved = self.move_on(cron, due, &Progress::Known, schedule, now).await?;
                return Ok(moved.map_or(Made::Changed, Made::Fired));
            }
        }
        after.revision += 1;
        metrics::job_enqueued(&job);
        tracing::info!(cron = cron.name(), at_ms = due.at_ms, lateness_ms = now - due.at_ms, job_id = %id, "cron job fired");
        if let Some(since_ms) = due.missed_since_ms {
            tracing::warn!(
                cron = cron.name(),
                since_ms,
                at_ms = due.at_ms,
                "cron occurrences missed; the latest fired"
            );
        }
        if after.backlog > BACKLOG_WARNING {
            tracing::warn!(cron = cron.name(), waiting = after.backlog, "cron job's jobs pile up");
        }
        if let Some((stored, cancelled)) = &cancelled {
            tracing::info!(job_id = %cancelled.id, cron = cron.name(), "job cancelled by the next occurrence");
            let receipt = stored.lease.as_ref().and_then(|lease| lease.receipt.as_ref());
            self.after_terminal(cancelled, receipt).await;
        }
        self.send_or_log(ahead).await;
        Ok(Made::Fired(Fire::Over { cron: Box::new(after), at_ms: due.at_ms, outcome: Outcome::Fired }))
    }

    /// Sends the message of an occurrence to come, now that the cron job says so.
    pub(in crate::engine) async fn send_or_log(&self, ahead: Option<(JobRef, i64)>) {
        if let Some((message, delay_s)) = ahead
            && let Err(error) = self.send_before_write(&message, delay_s).await
        {
            tracing::warn!(job_id = %message.id, queue = message.queue, %error, "message of a cron job's next time not sent; the tick fires it");
        }
    }

    /// The message of the next occurrence, if it comes soon enough for SQS and none has been sent; and notes it, which the
    /// caller then writes. Sent after that write, it lets the occurrence fire on its second, whatever ticks do. On a FIFO queue
    /// there is none: it would block its group until then.
    pub(in crate::engine) fn message_ahead(&self, cron: &mut Cron, now: i64) -> Option<(JobRef, i64)> {
        let at_ms = cron.next_run_at.filter(|at| Some(*at) != cron.woken_for && at - now <= MAX_DELAY_MS)?;
        if self.transport.is_fifo() {
            return None;
        }
        cron.woken_for = Some(at_ms);
        let message = occurrence(cron.name(), at_ms, &cron.definition.template);
        Some((message, (at_ms - now).max(0) / 1_000))
    }
}

/// How the making of an occurrence's job ended.
enum Made {
    /// It is made, or had been.
    Fired(Fire),
    /// Something has changed since it was read.
    Changed,
    /// Another client's job has its id.
    IdTaken,
}

/// The message of an occurrence.
fn occurrence(name: &str, at_ms: i64, template: &Template) -> JobRef {
    JobRef {
        id: job_id(name, at_ms),
        job_type: template.job_type.clone(),
        queue: template.queue.clone(),
        priority: template.priority,
        group: template.group.clone(),
        due_at: None,
        limit: None,
        wakes: Some(CronTime { name: name.to_owned(), at_ms }),
    }
}

/// A cron job that a version with other rules, or another time zone database, has stored.
fn unusable(cron: &Cron, error: &Error) -> Error {
    Error::internal(format_args!("cron job {}: {error}", cron.name()))
}
