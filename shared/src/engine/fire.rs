//! A cron job's time has come: its job is made, once, whoever looks and however many do.

use super::follow::{MAX_DELAY_MS, Wake, wake};
use super::{Engine, MAX_RACES, cron_raced};
use crate::cron::{Cron, Decision, Due, OverlapPolicy, Progress, Schedule, decide, due, job_id};
use crate::error::{ErrorCode, Result};
use crate::ids::JobId;
use crate::job::{CronOrigin, Job, State, settle};
use crate::store::{CronUpdated, Fired, Firing};
use crate::transport::{CronTime, JobRef};

/// Jobs that may wait for each other before it is worth a warning (OJS cron section 6.1).
const BACKLOG_WARNING: u32 = 2;

/// What came of looking at a cron job.
#[derive(Debug)]
pub(super) enum Fire {
    /// No occurrence is due.
    NotDue,
    /// One is over; the cron job as it is now.
    Over {
        /// As it is now.
        cron: Box<Cron>,
        /// The job that was made, or had been; none where the occurrence was skipped.
        job: Option<JobId>,
    },
    /// There is no such cron job any more.
    Gone,
}

impl Engine {
    /// Fires the occurrence of a cron job that is due, if any: one transaction moves `next_run_at` and makes the job. Of
    /// any number of callers one succeeds; the others find that it is over.
    ///
    /// The messages go first, that of the job unless it was sent ahead and that of the next occurrence if SQS can hold it
    /// for so long: one whose time has not come, or whose job was not made, does no harm (I1).
    ///
    /// # Errors
    /// The AWS error, and then the transaction may have taken effect; `internal_error` when the stored cron job cannot be
    /// read.
    pub(super) async fn fire(&self, mut cron: Cron) -> Result<Fire> {
        for _ in 0..MAX_RACES {
            let now = self.now_ms();
            let schedule = cron.definition.schedule()?;
            let Some(due) = due(&cron, &schedule, now, self.settings.cron_misfire_ms) else { return Ok(Fire::NotDue) };
            let fired = match self.decide(&cron, &due, now).await? {
                (Decision::Skip, Some(previous)) => self.skip(&cron, &due, &previous, &schedule, now).await?,
                (decision, previous) => {
                    if decision == Decision::CancelPrevious
                        && let Some(previous) = &previous
                    {
                        self.cancel_previous(&previous.id).await?;
                    }
                    let behind = previous.filter(|_| decision == Decision::WaitForPrevious);
                    self.make_job(&cron, &due, behind.as_ref(), &schedule, now).await?
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
        Err(cron_raced(cron.name()))
    }

    /// What the overlap policy says of this occurrence; with the previous job as stored, if it matters.
    async fn decide(&self, cron: &Cron, due: &Due, now: i64) -> Result<(Decision, Option<Job>)> {
        let policy = cron.definition.overlap;
        let previous = match &cron.last_job {
            Some(id) if policy != OverlapPolicy::Allow => self.store.get_job(id).await?,
            _ => None,
        };
        let settled = previous.as_ref().map(|job| settle(job, now));
        Ok((decide(policy, settled.as_deref(), due.as_of_ms), previous))
    }

    async fn cancel_previous(&self, id: &JobId) -> Result<()> {
        match self.cancel(id).await {
            Ok(_) => Ok(()),
            // It has ended by itself, or is forgotten.
            Err(error) if matches!(error.code, ErrorCode::Conflict | ErrorCode::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The occurrence makes no job. `None` when the cron job has changed since it was read.
    async fn skip(
        &self,
        cron: &Cron,
        due: &Due,
        previous: &Job,
        schedule: &Schedule,
        now: i64,
    ) -> Result<Option<Fire>> {
        let mut after = cron.after(due, &Progress::Skipped(previous.id.clone()), schedule);
        self.wake_ahead(&mut after, now).await?;
        let written = self.store.put_cron(Some(cron), &after, self.ids.nonce()).await?;
        if let CronUpdated::Done(_) = written {
            tracing::info!(cron = cron.name(), at_ms = due.at_ms, job_id = %previous.id, "cron occurrence skipped: the job before has not ended");
        }
        Ok(over(written, None))
    }

    /// The occurrence makes its job. `None` when something has changed since it was read.
    async fn make_job(
        &self,
        cron: &Cron,
        due: &Due,
        behind: Option<&Job>,
        schedule: &Schedule,
        now: i64,
    ) -> Result<Option<Fire>> {
        let id = job_id(cron.name(), due.at_ms);
        let origin = CronOrigin {
            name: cron.name().to_owned(),
            expression: cron.definition.expression.clone(),
            at_ms: due.at_ms,
        };
        let mut job = cron.definition.template.job_with_id(id.clone(), &origin, now, &self.ids)?;
        job = settle(&job, now).into_owned();
        job.waits_for = behind.map(|previous| previous.id.clone());
        let waits = matches!(job.state, State::Available | State::Scheduled);
        let wake = waits.then(|| wake(job.due_at, now));
        job.in_due_index = wake == Some(Wake::DueIndex) || (job.state == State::Pending && job.expires_at.is_some());
        if let Some(Wake::Message(delay_s)) = wake
            && cron.woken_for != Some(due.at_ms)
        {
            self.send_ahead(&occurrence(cron.name(), &job.job_type, &job.queue, due.at_ms), delay_s).await?;
        }
        let progress = Progress::Fired { job: id.clone(), behind: behind.is_some() };
        let mut after = cron.after(due, &progress, schedule);
        self.wake_ahead(&mut after, now).await?;
        match self.store.fire_cron(Firing { old: cron, new: &after, job: &job, behind }, self.ids.nonce()).await? {
            Fired::Done => {
                let lateness_ms = now - due.at_ms;
                tracing::info!(cron = cron.name(), at_ms = due.at_ms, lateness_ms, job_id = %id, "cron job fired");
                if let Some(since_ms) = due.missed_since_ms {
                    tracing::warn!(
                        cron = cron.name(),
                        since_ms,
                        at_ms = due.at_ms,
                        "cron occurrences missed; the latest fired"
                    );
                }
                if after.backlog > BACKLOG_WARNING {
                    tracing::warn!(cron = cron.name(), waiting = after.backlog, "jobs of a cron job pile up");
                }
                after.revision += 1;
                Ok(Some(Fire::Over { cron: Box::new(after), job: Some(id) }))
            }
            Fired::Refused => Ok(None),
            // Made in an earlier life of the cron job, which was deleted and registered anew.
            Fired::JobExists => Ok(over(self.store.put_cron(Some(cron), &after, self.ids.nonce()).await?, Some(id))),
        }
    }

    /// Sends the message of the next occurrence, if it comes soon enough for SQS and none has been sent: then it fires on
    /// its second whatever ticks do.
    pub(super) async fn wake_ahead(&self, cron: &mut Cron, now: i64) -> Result<()> {
        let Some(at_ms) = cron.next_run_at.filter(|at| Some(*at) != cron.woken_for) else { return Ok(()) };
        if at_ms - now > MAX_DELAY_MS {
            return Ok(());
        }
        let template = &cron.definition.template;
        self.send_ahead(
            &occurrence(cron.name(), &template.job_type, &template.queue, at_ms),
            (at_ms - now).max(0) / 1_000,
        )
        .await?;
        cron.woken_for = Some(at_ms);
        Ok(())
    }
}

/// The message of an occurrence.
pub(super) fn occurrence(name: &str, job_type: &str, queue: &str, at_ms: i64) -> JobRef {
    JobRef {
        id: job_id(name, at_ms),
        job_type: job_type.to_owned(),
        queue: queue.to_owned(),
        due_at: None,
        wakes: Some(CronTime { name: name.to_owned(), at_ms }),
    }
}

/// What a write without a job means; `None` when the cron job has changed.
fn over(written: CronUpdated, job: Option<JobId>) -> Option<Fire> {
    match written {
        CronUpdated::Done(cron) => Some(Fire::Over { cron, job }),
        CronUpdated::Refused(_) => None,
        CronUpdated::Missing => Some(Fire::Gone),
    }
}
