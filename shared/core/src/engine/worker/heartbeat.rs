use futures::future::join;
use futures::stream::{self, StreamExt};

use crate::engine::Engine;
use crate::engine::job::refuse;
use crate::store::{Updated, WorkerBeat};
use crate::transport::{Hidden, SqsQueue};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Event, Holder, Job, Refusal, State, step};

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
    /// Those of them whose workflow was cancelled.
    pub unwanted: Vec<JobId>,
    /// Jobs to stop working on.
    pub lost: Vec<LostJob>,
    /// Jobs that AWS kept from being asked for: whether their leases run on is not known, and the worker is to name them
    /// again soon.
    pub failed: Vec<(JobId, Error)>,
    /// ms since the Unix epoch.
    pub server_time: i64,
}

impl Engine {
    /// Extends leases and answers the worker's directive (worker protocol section 4): one conditional update per job
    /// and one for the worker at once, then the visibility of the messages, ten a call. A job that AWS refuses to extend, for
    /// example because it is throttled, does not fail the others (I7): the answer names it.
    ///
    /// # Errors
    /// `conflict` when jobs were named, none is the worker's any more, and at least one is held under another lease;
    /// `invalid_request` for more than [`MAX_HEARTBEAT_JOBS`]; the AWS error, if nothing at all could be done.
    pub async fn heartbeat(&self, beat: Heartbeat) -> Result<Heartbeaten> {
        if beat.jobs.len() > MAX_HEARTBEAT_JOBS {
            return Err(Error::field("active_jobs", format_args!("names more than {MAX_HEARTBEAT_JOBS} jobs"))
                .with("max", MAX_HEARTBEAT_JOBS));
        }
        let now = self.now_ms();
        let worker = WorkerBeat { id: &beat.worker_id, active_jobs: beat.jobs.len(), now_ms: now };
        let extend = async {
            let each: Vec<_> = beat
                .jobs
                .iter()
                .map(|(id, token)| {
                    let extended = self.extend(&beat, id, token.as_ref(), now);
                    async move { extended.await.map_err(|error| (id.clone(), error)) }
                })
                .collect();
            stream::iter(each).buffered(CONCURRENCY).collect::<Vec<_>>().await
        };
        let (operator, answers) = join(self.store.beat(worker), extend).await;

        let (mut jobs, mut lost, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(Ok(job)) => jobs.push(job),
                Ok(Err(gone)) => lost.push(gone),
                Err(failure) => failed.push(failure),
            }
        }
        if jobs.is_empty()
            && failed.is_empty()
            && let Some(gone) = lost.iter().find(|gone| gone.reason == "lease_lost")
        {
            return Err(refuse::lease_lost(&gone.id, gone.attempt.unwrap_or(0), "extend"));
        }
        let nothing = jobs.is_empty() && lost.is_empty();
        let operator = match operator {
            Ok(_) if nothing && !failed.is_empty() => return Err(failed.swap_remove(0).1),
            Ok(operator) => operator,
            Err(error) if nothing => return Err(error),
            Err(error) => {
                tracing::warn!(worker_id = beat.worker_id, %error, "worker not noted; its jobs are");
                None
            }
        };
        self.hide_until_lease_ends(&jobs, now).await;
        let directive = directive(operator.as_deref(), &jobs, self.settings.test_directives);
        Ok(Heartbeaten {
            directive: directive.to_owned(),
            unwanted: jobs.iter().filter(|job| job.cancel_requested_at.is_some()).map(|job| job.id.clone()).collect(),
            extended: jobs.into_iter().map(|job| job.id).collect(),
            lost,
            failed,
            server_time: now,
        })
    }

    /// Hides the messages of jobs until their leases end.
    async fn hide_until_lease_ends(&self, jobs: &[Job], now: i64) {
        let messages: Vec<_> = jobs
            .iter()
            .filter_map(|job| {
                let lease = job.lease.as_ref()?;
                let receipt = lease.receipt.as_ref()?;
                let hidden_s = ((lease.ends_at_ms() - now) / 1_000).max(1);
                Some((SqsQueue::tier(&job.queue, receipt.tier), receipt.handle.as_str(), hidden_s))
            })
            .collect();
        let messages: Vec<_> = messages
            .iter()
            .map(|(sqs_queue, receipt, hidden_s)| Hidden { sqs_queue, receipt, hidden_s: *hidden_s })
            .collect();
        if let Err(error) = self.transport.hide_all(&messages).await {
            tracing::warn!(%error, "messages not hidden until their leases end; the claim refuses them when they return");
        }
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
            Updated::Refused(stored) => {
                let event = Event::Heartbeat { holder, duration_ms: beat.visibility_ms };
                match step(&self.fenced(&stored), event, now) {
                    // What refused it was a lapsed lease that does not matter here.
                    Ok(change) => match self.replace(&stored, &change.job).await? {
                        Updated::Done(job) => Ok(*job),
                        _ => return Err(refuse::raced(id)),
                    },
                    Err(refusal) => Err(lost(&stored, &refusal, now)),
                }
            }
            Updated::Missing | Updated::TooLarge => {
                Err(LostJob { id: id.clone(), reason: "not_found", state: None, attempt: None })
            }
        })
    }
}

/// What the answer says of a job that was not extended.
fn lost(stored: &Job, refusal: &Refusal, now: i64) -> LostJob {
    let current = stored.as_of(now);
    let lease_lost = matches!(refusal, Refusal::LeaseLost { .. });
    LostJob {
        id: stored.id.clone(),
        reason: if lease_lost { "lease_lost" } else { "not_active" },
        state: Some(current.state),
        attempt: Some(current.attempt),
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
