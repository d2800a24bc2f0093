use std::sync::Arc;

use super::transition::{Decided, Transition};
use crate::engine::enqueue::unique::{Kept, duplicate};
use crate::engine::{Engine, MAX_ANSWER_BYTES};
use crate::store::{DeadLetterPosition, Deletable, Deleted};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Event, Job, MAX_ENVELOPE_BYTES, Refusal, RetryPolicy, State, message_group, queue_name, step};
use ojs_model::json::{Fields, Json};

/// Which dead letters to list.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterQuery {
    /// Of this queue only.
    pub queue: Option<String>,
    /// From after this place on.
    pub after: Option<DeadLetterPosition>,
    /// How many to pass over; each costs a read of the index.
    pub offset: usize,
    /// How many to answer.
    pub limit: usize,
}

/// A page of dead letters, newest first.
#[derive(Debug, Clone)]
pub struct DeadLetterPage {
    /// The jobs, with their history.
    pub jobs: Vec<Job>,
    /// The place after which the next page starts; `None` on the last.
    pub next: Option<DeadLetterPosition>,
}

/// What a manual retry changes of the job (dead letter section 6.3).
#[derive(Debug, Clone, Default)]
pub struct Override {
    queue: Option<String>,
    meta: Option<(Json, Option<String>)>,
    retry: Option<(Json, RetryPolicy)>,
}

impl Override {
    /// Reads the body of a retry: empty, or `{"override": {"queue", "meta", "retry"}}`.
    ///
    /// # Errors
    /// As for the same fields of an enqueue.
    pub fn parse(mut body: Fields) -> Result<Self> {
        let Some(given) = body.take_kind("override", "object")? else { return Ok(Self::default()) };
        let mut fields = Fields::from_member("override", &given)?;
        let queue = fields.take_string("queue")?.map(|name| queue_name("override.queue", name)).transpose()?;
        let meta = fields.take_kind("meta", "object")?;
        if let Some(meta) = &meta
            && meta.get().len() > ojs_model::job::MAX_META_BYTES
        {
            return Err(Error::too_large("meta", meta.get().len(), ojs_model::job::MAX_META_BYTES));
        }
        let retry = match fields.take("retry") {
            Some(given) => {
                let policy = RetryPolicy::parse("override.retry", &given)?;
                Some((given, policy))
            }
            None => None,
        };
        let meta = match meta {
            Some(meta) => {
                let group = message_group(Some(&meta))?;
                Some((meta, group))
            }
            None => None,
        };
        Ok(Self { queue, meta, retry })
    }

    fn apply(&self, job: &mut Job) {
        if let Some(queue) = &self.queue {
            job.queue.clone_from(queue);
        }
        if let Some((meta, group)) = &self.meta {
            job.meta = Some(meta.clone());
            job.group.clone_from(group);
        }
        if let Some((given, policy)) = &self.retry {
            job.retry_given = Some(given.clone());
            job.retry = policy.clone();
        }
    }
}

impl Engine {
    /// Dead letters, newest first (dead letter section 10): one query per shard, one batch read per 100 jobs.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_dead_letters(&self, query: DeadLetterQuery) -> Result<DeadLetterPage> {
        let wanted = query.offset + query.limit;
        let mut places = self.store.list_dead(query.queue.as_deref(), query.after.as_ref(), wanted + 1).await?;
        let more = places.len() > wanted;
        places.truncate(wanted);
        let places = places.split_off(query.offset.min(places.len()));
        let mut next = if more { places.last().cloned() } else { None };
        let ids: Vec<JobId> = places.iter().map(|place| place.id.clone()).collect();
        let mut jobs = self.store.get_jobs(&ids).await?;
        // The index lags behind the item.
        jobs.retain(|job| job.state == State::Discarded && job.dead_letter);
        // A page of large jobs ends early; the first is answered whatever its size.
        let mut bytes = 0;
        let fits = jobs.iter().position(|job| {
            bytes += job.answer_bytes();
            bytes > MAX_ANSWER_BYTES
        });
        if let Some(fits) = fits.map(|fits| fits.max(1)).filter(|fits| *fits < jobs.len()) {
            jobs.truncate(fits);
            next = jobs.last().and_then(|job| places.iter().find(|place| place.id == job.id).cloned());
        }
        Ok(DeadLetterPage { jobs, next })
    }

    /// Makes a dead letter available again, its attempts starting over (dead letter section 6): a read, the message,
    /// then one conditional update.
    ///
    /// # Errors
    /// `not_found` when the job is no dead letter; `duplicate` when another job has its unique key by now; the AWS error,
    /// after which a repetition does no harm.
    pub async fn retry_dead_letter(&self, id: &JobId, change: &Override) -> Result<Job> {
        self.retry_as(id, Event::RetryDead, change, |_| not_dead(id)).await
    }

    /// Retries a job by this event. `refused` says what is wrong with a job that cannot be, or is not there.
    pub(in crate::engine) async fn retry_as(
        &self,
        id: &JobId,
        event: Event,
        change: &Override,
        refused: impl Fn(Option<(&Job, &Refusal)>) -> Error,
    ) -> Result<Job> {
        let now = self.now_ms();
        let stored = self.store.get_job(id).await?.ok_or_else(|| refused(None))?;
        let too_large = |job: &Job| Error::too_large("envelope", job.envelope_bytes(), MAX_ENVELOPE_BYTES);
        let retried = self.transition(stored, too_large, async |stored: Arc<Job>| {
            let (mut retried, from) = match step(&stored, event.clone(), now) {
                Ok(change) => (change.job, change.from),
                Err(Refusal::Repeated) => return Ok(Decided::Answer(Box::new(Job::clone(&stored)))),
                Err(refusal) => return Err(refused(Some((&stored, &refusal)))),
            };
            change.apply(&mut retried);
            if retried.envelope_bytes() > MAX_ENVELOPE_BYTES {
                return Err(too_large(&retried));
            }
            self.send_before_change(&retried, now).await?;
            // One that only waited for its next attempt has come to no end, and keeps what it has of its lock.
            if let Some(key) = stored.unique_key.filter(|_| from == State::Discarded) {
                return match self.lock_again(&stored, &retried, now).await? {
                    None => Ok(Decided::Answer(Box::new(retried))),
                    Some(Kept::By(holder)) => Err(duplicate(&holder, &key)),
                    Some(Kept::Raced) => Ok(Decided::ReadAgain),
                };
            }
            Ok(Decided::Write(Box::new(retried)))
        });
        match retried.await {
            Ok(Transition::Written { after: job, .. } | Transition::Answered(job)) => {
                tracing::info!(job_id = %id, queue = job.queue, "job retried");
                Ok(*job)
            }
            // It was deleted in between.
            Err(error) if error.code == ErrorCode::NotFound => Err(refused(None)),
            Err(error) => Err(error),
        }
    }

    /// Deletes a dead letter for good: one conditional delete.
    ///
    /// # Errors
    /// `not_found` when the job is no dead letter; the AWS error.
    pub async fn delete_dead_letter(&self, id: &JobId) -> Result<()> {
        match self.store.delete_ended(id, Deletable::DeadLetter).await? {
            Deleted::Done => {}
            Deleted::Refused(job) if job.dead_letter => match self.finish_and_delete(*job).await {
                // It was retried or deleted meanwhile.
                Err(error) if matches!(error.code, ErrorCode::Conflict | ErrorCode::NotFound) => {
                    return Err(not_dead(id));
                }
                done => done?,
            },
            // What only the clock has made a dead letter is not stored as one, and its message is still to come.
            Deleted::Refused(_) | Deleted::Missing => return Err(not_dead(id)),
        }
        tracing::info!(job_id = %id, "dead letter deleted");
        Ok(())
    }
}

fn not_dead(id: &JobId) -> Error {
    Error::not_found("dead letter", id.as_str())
}
