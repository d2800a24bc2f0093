//! A batch as an item, in the due index while it lasts.
//!
//! | name | holds | | name | holds |
//! |---|---|---|---|---|
//! | `s` | state | | `js` | ids of its jobs, joined with commas |
//! | `nc` | nonce of the write that made it | | `dup` `dus` | due index: when a tick looks after it |

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};
use futures::FutureExt;

use super::dynamo::attributes::{Item, get_n, n, s, take_s};
use super::dynamo::transact::Transacted;
use super::dynamo::unconditional::{NewPut, arrives_late, once};
use super::idempotency::Ticket;
use super::job::unique::{JobWrite, Take};
use super::{Store, keys};
use crate::aws::{Service, service_error};
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
    /// It has been called off, or what was to be replaced with it has changed; nothing is written.
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
        item.insert("s".to_owned(), s(batch.state.as_str()));
        item.insert("js".to_owned(), s(ids.join(",")));
        item.insert("dup".to_owned(), s(keys::unfinished(keys::shard(&batch.id, self.shards))));
        item.insert("dus".to_owned(), n(batch.due_at));
        for attempt in 1.. {
            let sent = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item.clone()))
                .customize()
                .config_override(once())
                .send()
                .boxed()
                .await;
            let Err(e) = sent else { break };
            let error = service_error(Service::DynamoDb, "PutItem", &e);
            if arrives_late(&e) {
                return Ok(NewPut::Unsettled(error));
            }
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
        let commit = "SET #s = :committed, nc = :nonce";
        let open = "#s = :open";
        if replaced.is_empty() && answered.is_none() {
            let sent = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(keys::batch(&batch.id)))
                .update_expression(commit)
                .condition_expression(format!("{open} OR (#s = :committed AND nc = :nonce)"))
                .expression_attribute_names("#s", "s")
                .expression_attribute_values(":open", s(BatchState::Open.as_str()))
                .expression_attribute_values(":committed", s(BatchState::Committed.as_str()))
                .expression_attribute_values(":nonce", n(token))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::None)
                .send()
                .boxed()
                .await;
            return Ok(match sent {
                Ok(_) => Committed::Done,
                Err(SdkError::ServiceError(e)) if e.err().is_conditional_check_failed_exception() => Committed::Refused,
                // The last of the SDK's tries may have been refused and an earlier one not.
                Err(e) => Committed::Unknown(service_error(Service::DynamoDb, "UpdateItem", &e)),
            });
        }
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(keys::batch(&batch.id)))
            .update_expression(commit)
            .condition_expression(open)
            .expression_attribute_names("#s", "s")
            .expression_attribute_values(":open", s(BatchState::Open.as_str()))
            .expression_attribute_values(":committed", s(BatchState::Committed.as_str()))
            .expression_attribute_values(":nonce", n(token))
            .build()
            .map_err(Error::internal)?;
        let mut actions = vec![TransactWriteItem::builder().update(update).build()];
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
    /// The AWS error; it may be called off.
    pub async fn abort_batch(&self, id: &JobId, due_at: i64) -> Result<bool> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::batch(id)))
            .update_expression("SET #s = :aborted, dus = :due")
            .condition_expression("#s IN (:open, :aborted)")
            .expression_attribute_names("#s", "s")
            .expression_attribute_values(":open", s(BatchState::Open.as_str()))
            .expression_attribute_values(":due", n(due_at))
            .expression_attribute_values(":aborted", s(BatchState::Aborted.as_str()))
            .send()
            .boxed()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
    }

    /// Forgets a batch that is over.
    ///
    /// # Errors
    /// The AWS error; it may be forgotten.
    pub async fn delete_batch(&self, id: &JobId) -> Result<()> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::batch(id)))
            .send()
            .boxed()
            .await
            .map(|_| ())
            .map_err(|e| service_error(Service::DynamoDb, "DeleteItem", &e))
    }
}

fn batch_of(mut item: Item) -> Result<Batch> {
    let broken = || Error::internal("a batch is missing an attribute");
    let ids = take_s(&mut item, "js").ok_or_else(broken)?;
    Ok(Batch {
        id: take_s(&mut item, "pk").and_then(|pk| keys::batch_of_pk(&pk)).ok_or_else(broken)?,
        jobs: ids.split(',').map(JobId::parse).collect::<Option<_>>().ok_or_else(broken)?,
        state: take_s(&mut item, "s").and_then(|state| BatchState::parse(&state)).ok_or_else(broken)?,
        due_at: get_n(&item, "dus").ok_or_else(broken)?,
    })
}
