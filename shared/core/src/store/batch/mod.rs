//! A batch as an item, in the due index while it lasts.

pub(super) mod attributes;

use std::time::Duration;

use super::dynamo::attributes::{Attribute, Item, PK, get_n, n, s, take_s};
use super::dynamo::delete_item::DeleteItem;
use super::dynamo::put_item::PutItem;
use super::dynamo::transact::Transacted;
use super::dynamo::unconditional::NewPut;
use super::dynamo::update_item::UpdateItem;
use super::dynamo::written::Written;
use super::idempotency::Ticket;
use super::lock::{JobWrite, Take};
use super::{Store, keys};
use attributes as batch;
use ojs_model::batch::{Batch, BatchState};
use ojs_model::bulk::Answer;
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::Job;
use ojs_model::job::unique::Lock;

/// How an attempt to commit ended.
#[derive(Debug)]
pub enum Committed {
    /// The jobs are there.
    Done,
    /// It was aborted, or what was to be replaced with it has changed; nothing is written.
    Refused,
    /// Whether it took effect is unknown.
    Unknown(Error),
}

/// A job that takes the place of another one when its batch is committed.
#[derive(Debug)]
pub struct Replacement {
    /// The new job's lock.
    pub lock: Lock,
    /// How it is come by.
    pub take: Take,
}

impl Store {
    /// Opens a batch: one put, which must not be repeated: it would open a batch anew that is committed.
    ///
    /// # Errors
    /// The AWS error; then the batch is not there.
    pub async fn open_batch(&self, batch: &Batch) -> Result<NewPut> {
        let mut item = keys::batch(&batch.id);
        let ids: Vec<&str> = batch.jobs.iter().map(JobId::as_str).collect();
        let mut put = |attribute: Attribute, value| item.insert(attribute.name().to_owned(), value);
        put(batch::STATE, s(batch.state.as_str()));
        put(batch::JOBS, s(ids.join(",")));
        put(batch::DUE_PARTITION, s(keys::unfinished(keys::shard(&batch.id, self.shards))));
        put(batch::DUE_SORT, n(batch.due_at));
        for attempt in 1.. {
            let failure = match PutItem::new(item.clone()).once().put(self).await {
                Ok(_) => break,
                Err(failure) => failure,
            };
            if failure.arrives_late {
                return Ok(NewPut::Unsettled(failure.error));
            }
            let error = failure.error;
            let passes = matches!(error.code, ErrorCode::RateLimited | ErrorCode::BackendUnavailable);
            if !passes || attempt >= self.attempts {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(25 << attempt.min(5))).await;
        }
        Ok(NewPut::Done)
    }

    /// Reads a batch, strongly consistent.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_batch(&self, id: &JobId) -> Result<Option<Batch>> {
        self.get_item(keys::batch(id)).await?.map(batch_of).transpose()
    }

    /// The states of batches, strongly consistent, 100 a call; those that are over are left out.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn batch_states(&self, ids: &[&JobId]) -> Result<Vec<(JobId, BatchState)>> {
        let items = self.batch_get(ids.iter().map(|id| keys::batch(id)).collect()).await?;
        items.into_iter().map(|item| batch_of(item).map(|batch| (batch.id, batch.state))).collect()
    }

    /// Commits an open batch: one conditional update, or one transaction with what its jobs replace (49 at most) and with
    /// the answer to the request, if its record is to have it.
    ///
    /// # Errors
    /// `internal_error` when it cannot be written at all.
    pub async fn commit_batch(
        &self,
        batch: &Batch,
        replaced: &[(&Replacement, &Job)],
        answered: Option<(&Ticket, &Answer)>,
        now_ms: i64,
        token: u64,
    ) -> Result<Committed> {
        let commit = UpdateItem::of(keys::batch(&batch.id))
            .set(batch::STATE, BatchState::Committed.as_str())
            .set(batch::NONCE, token);
        let open = batch::STATE.is(BatchState::Open.as_str());
        if replaced.is_empty() && answered.is_none() {
            let ours = batch::STATE.is(BatchState::Committed.as_str()).and(batch::NONCE.is(token));
            return Ok(match commit.when(open.or(ours)).update(self).await {
                Ok(Written::Done(_)) => Committed::Done,
                Ok(Written::Refused(_)) => Committed::Refused,
                // The last of the SDK's tries may have been refused and an earlier one not.
                Err(failure) => Committed::Unknown(failure.error),
            });
        }
        let mut actions = vec![commit.when(open).update_action(self)?];
        if let Some((ticket, answer)) = answered {
            actions.push(self.transact_answer(ticket, answer)?);
        }
        for (Replacement { lock, take }, job) in replaced {
            let mut each = self.lock_actions(lock, take, JobWrite::New(job), now_ms)?;
            // The job itself is written already.
            each.remove(1);
            actions.extend(each);
        }
        Ok(match self.transact(actions, format!("batch-{token:016x}")).await {
            Ok(Transacted::Done) => Committed::Done,
            Ok(Transacted::Refused(_)) => Committed::Refused,
            Err(error) => Committed::Unknown(error),
        })
    }

    /// Calls an open batch off, to be looked after again at `due_at` (ms since the Unix epoch): one conditional update.
    /// `false` when it has been committed, or is over.
    ///
    /// # Errors
    /// The AWS error; it may be aborted.
    pub async fn abort_batch(&self, id: &JobId, due_at: i64) -> Result<bool> {
        let undecided = batch::STATE.is_one_of([BatchState::Open.as_str(), BatchState::Aborted.as_str()]);
        let abort = UpdateItem::of(keys::batch(id))
            .when(undecided)
            .set(batch::STATE, BatchState::Aborted.as_str())
            .set(batch::DUE_SORT, due_at);
        Ok(abort.update(self).await?.is_done())
    }

    /// Forgets a batch that is over.
    ///
    /// # Errors
    /// The AWS error; it may be forgotten.
    pub async fn delete_batch(&self, id: &JobId) -> Result<()> {
        DeleteItem::of(keys::batch(id)).delete(self).await?;
        Ok(())
    }
}

fn batch_of(mut item: Item) -> Result<Batch> {
    let broken = || Error::internal("a batch is missing an attribute");
    let ids = take_s(&mut item, batch::JOBS).ok_or_else(broken)?;
    Ok(Batch {
        id: take_s(&mut item, PK).and_then(|pk| keys::batch_of_pk(&pk)).ok_or_else(broken)?,
        jobs: ids.split(',').map(JobId::parse).collect::<Option<_>>().ok_or_else(broken)?,
        state: take_s(&mut item, batch::STATE).and_then(|state| BatchState::parse(&state)).ok_or_else(broken)?,
        due_at: get_n(&item, batch::DUE_SORT).ok_or_else(broken)?,
    })
}
