use futures::future::try_join;
use futures::stream::{self, StreamExt};

use super::{Engine, refuse};
use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::job::{Event, Holder, Job, Refusal, State, settle, step};
use crate::store::{Updated, WorkerBeat};

/// Most jobs one heartbeat may name.
pub const MAX_HEARTBEAT_JOBS: usize = 256;
/// Jobs extended at a time.
const CONCURRENCY: usize = 32;

/// A worker says that it lives, and what it runs.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// The worker.
    pub worker_id: String,
    /// Its jobs, each with the lease token if the worker sent it.
    pub jobs: Vec<(JobId, Option<String>)>,
    /// New length of the leases from now, ms; each lease's own when `None`.
    pub visibility_ms: Option<i64>,
}

/// A job that the worker named and does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostJob {
    /// The job.
    pub id: JobId,
    /// `lease_lost`, `not_active` or `not_found`.
    pub reason: &'static str,
    /// Its state now.
    pub state: Option<State>,
    /// Its attempt now.
    pub attempt: Option<u32>,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone)]
pub struct Heartbeaten {
    /// `running`, `quiet` (fetch no more) or `terminate` (stop).
    pub directive: String,
    /// Jobs whose lease runs on.
    pub extended: Vec<JobId>,
    /// Those of them that nobody wants any more: their workflow was called off.
    pub unwanted: Vec<JobId>,
    /// Jobs to stop working on.
    pub lost: Vec<LostJob>,
    /// ms since the Unix epoch.
    pub server_time: i64,
}

impl Engine {
    /// Extends leases and answers the worker's directive (worker protocol section 4): one conditional update per job
    /// and one for the worker at once, then the visibility of each message.
    ///
    /// # Errors
    /// `conflict` when jobs were named, none is the worker's any more, and at least one is held under another lease;
    /// `invalid_request` for more than [`MAX_HEARTBEAT_JOBS`]; the AWS error.
    pub async fn heartbeat(&self, beat: Heartbeat) -> Result<Heartbeaten> {
        if beat.jobs.len() > MAX_HEARTBEAT_JOBS {
            return Err(Error::field("active_jobs", format_args!("names more than {MAX_HEARTBEAT_JOBS} jobs"))
                .with("max", MAX_HEARTBEAT_JOBS));
        }
        let now = self.now_ms();
        let worker = WorkerBeat { id: &beat.worker_id, active_jobs: beat.jobs.len(), now_ms: now };
        let extend = async {
            let each: Vec<_> =
                beat.jobs.iter().map(|(id, token)| self.extend(&beat, id, token.as_ref(), now)).collect();
            let answers: Vec<_> = stream::iter(each).buffered(CONCURRENCY).collect().await;
            answers.into_iter().collect::<Result<Vec<_>>>()
        };
        let (operator, answers) = try_join(self.store.beat(worker), extend).await?;

        let (mut jobs, mut lost) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(job) => jobs.push(job),
                Err(gone) => lost.push(gone),
            }
        }
        if jobs.is_empty()
            && let Some(gone) = lost.iter().find(|gone| gone.reason == "lease_lost")
        {
            return Err(refuse::lease_lost(&gone.id, gone.attempt.unwrap_or(0), "extend"));
        }
        let each: Vec<_> = jobs
            .iter()
            .filter_map(|job| job.lease.as_ref().map(|lease| (job, lease)))
            .map(|(job, lease)| self.hide(job, lease.receipt.as_ref(), ((lease.ends_at_ms() - now) / 1_000).max(1)))
            .collect();
        stream::iter(each).buffer_unordered(CONCURRENCY).collect::<()>().await;
        let directive = directive(operator.as_deref(), &jobs, self.settings.test_directives);
        Ok(Heartbeaten {
            directive: directive.to_owned(),
            unwanted: jobs.iter().filter(|job| job.cancel_requested_at.is_some()).map(|job| job.id.clone()).collect(),
            extended: jobs.into_iter().map(|job| job.id).collect(),
            lost,
            server_time: now,
        })
    }

    async fn extend(
        &self,
        beat: &Heartbeat,
        id: &JobId,
        token: Option<&String>,
        now: i64,
    ) -> Result<Result<Job, LostJob>> {
        let holder = Holder { worker: Some(beat.worker_id.clone()), token: token.cloned() };
        Ok(match self.store.extend_job(id, &holder, beat.visibility_ms, now).await? {
            Updated::Done(job) => Ok(*job),
            Updated::Refused(job) => {
                let current = settle(&job, now);
                let refusal = step(&job, Event::Heartbeat { holder, duration_ms: beat.visibility_ms }, now).err();
                let lost = matches!(refusal, Some(Refusal::LeaseLost { .. }));
                Err(LostJob {
                    id: id.clone(),
                    reason: if lost { "lease_lost" } else { "not_active" },
                    state: Some(current.state),
                    attempt: Some(current.attempt),
                })
            }
            Updated::Missing | Updated::TooLarge => {
                Err(LostJob { id: id.clone(), reason: "not_found", state: None, attempt: None })
            }
        })
    }
}

/// The strictest of what an operator and, where `OJS_TEST_DIRECTIVES` allows it, the worker's jobs (`meta.test_directive`) ask for.
fn directive<'a>(operator: Option<&'a str>, jobs: &'a [Job], from_jobs: bool) -> &'static str {
    let from_jobs = jobs.iter().filter(|_| from_jobs).filter_map(|job| {
        #[derive(serde::Deserialize)]
        struct Meta {
            test_directive: Option<String>,
        }
        serde_json::from_str::<Meta>(job.meta.as_ref()?.get()).ok()?.test_directive
    });
    let asked: Vec<String> = operator.map(str::to_owned).into_iter().chain(from_jobs).collect();
    ["terminate", "quiet"].into_iter().find(|d| asked.iter().any(|a| a == d)).unwrap_or("running")
}
