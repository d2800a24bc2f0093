//! The locks of unique jobs.
//!
//! | name | holds | | name | holds |
//! |---|---|---|---|---|
//! | `j` | the job that holds it | | `st` | states in which it does, as bits |
//! | `ex` | until when, ms; for ever without | | `sn` | whether the job's message has been sent again |
//! | `nc` | nonce of the write that made it | | `ttl` | of a lock that outlives its job's end, s |
//! | `rv` | the job's revision then | | | |

use aws_sdk_dynamodb::types::{Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use futures::FutureExt;

use super::item::job_of;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{Item, get_n, get_u64, n, s, take_s};
use crate::store::dynamo::transact::{Reason, Transacted};
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::Job;
use ojs_model::job::unique::{Lock, States, UniqueKey};

/// What is written beside the lock.
#[derive(Debug, Clone, Copy)]
pub enum JobWrite<'a> {
    /// A new job.
    New(&'a Job),
    /// What a step made of a job as it was read.
    Changed(&'a Job, &'a Job),
}

/// How a lock is come by.
#[derive(Debug, Clone)]
pub enum Take {
    /// There is none, or its time has passed.
    Free,
    /// It is another job's, as it was read, and does not count any more.
    Over(Lock),
    /// The same, and the job that holds it is cancelled with it: as it was read, and afterwards.
    Replacing(Lock, Box<(Job, Job)>),
}

/// How taking a lock ended.
#[derive(Debug)]
pub enum Locked {
    /// Lock and job are written.
    Done,
    /// Another job holds the lock; nothing is written.
    Held(Lock),
    /// The new job's id is taken by this job; nothing is written.
    Taken(Box<Job>),
    /// Something has changed since it was read, or is changing; nothing is written.
    Raced,
}

impl Store {
    /// Takes a lock for a job and writes the job, in one transaction. The lock's nonce marks the call for the SDK's retries;
    /// every try of the caller's needs another.
    ///
    /// # Errors
    /// The AWS error; when it is unknown whether the transaction took effect, one read tells.
    pub async fn lock_job(&self, lock: &Lock, take: &Take, job: JobWrite<'_>, now_ms: i64) -> Result<Locked> {
        let actions = self.lock_actions(lock, take, job, now_ms)?;
        match self.transact(actions, format!("unique-{:016x}", lock.nonce)).await {
            Ok(Transacted::Done) => Ok(Locked::Done),
            Ok(Transacted::Refused(reasons)) => locked(reasons, job),
            // The last of the SDK's tries may have been refused and an earlier one not.
            Err(error) => match self.get_lock(&lock.key).await {
                Ok(Some(found)) if found.nonce == lock.nonce => Ok(Locked::Done),
                _ => Err(error),
            },
        }
    }

    pub(in crate::store) fn lock_actions(
        &self,
        lock: &Lock,
        take: &Take,
        job: JobWrite<'_>,
        now_ms: i64,
    ) -> Result<Vec<TransactWriteItem>> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item_of(lock)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match take {
            Take::Free => put
                .condition_expression("attribute_not_exists(pk) OR ex <= :now OR j = :job")
                .expression_attribute_values(":now", n(now_ms))
                .expression_attribute_values(":job", s(lock.job.as_str())),
            Take::Over(old) | Take::Replacing(old, _) => {
                put.condition_expression("nc = :nonce").expression_attribute_values(":nonce", n(old.nonce))
            }
        };
        let action = TransactWriteItem::builder;
        let mut actions = vec![action().put(put.build().map_err(Error::internal)?).build()];
        actions.push(match job {
            JobWrite::New(job) => {
                let put = Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(self.item_of(job)?))
                    .condition_expression("attribute_not_exists(pk)")
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
                action().put(put.build().map_err(Error::internal)?).build()
            }
            JobWrite::Changed(old, new) => action().update(self.transact_replace(old, new, lock.nonce)?).build(),
        });
        if let Take::Replacing(_, holder) = take {
            let (stored, cancelled) = &**holder;
            actions.push(action().update(self.transact_replace(stored, cancelled, lock.nonce)?).build());
        }
        Ok(actions)
    }

    /// Takes back a new job and its lock, in one transaction; `false` when the job has moved on since, or a duplicate of it has
    /// been told of it.
    ///
    /// # Errors
    /// The AWS error; both may still be there.
    pub async fn unlock_new_job(&self, job: &Job, lock: &Lock, token: u64) -> Result<bool> {
        let gone = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(keys::job(&job.id)))
            .condition_expression("attribute_not_exists(pk) OR r = :r")
            .expression_attribute_values(":r", n(job.revision));
        let free = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(keys::unique(&lock.key)))
            .condition_expression("attribute_not_exists(pk) OR (nc = :nonce AND attribute_not_exists(sn))")
            .expression_attribute_values(":nonce", n(lock.nonce));
        let actions = [gone, free]
            .into_iter()
            .map(|delete| Ok(TransactWriteItem::builder().delete(delete.build().map_err(Error::internal)?).build()))
            .collect::<Result<Vec<_>>>()?;
        let ended = self.transact(actions, format!("unlock-{token:016x}")).await?;
        Ok(matches!(ended, Transacted::Done))
    }

    /// Reads a lock, strongly consistent.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_lock(&self, key: &UniqueKey) -> Result<Option<Lock>> {
        self.get_item(keys::unique(key)).await?.map(|item| lock_of(item, *key)).transpose()
    }

    /// A job that held a lock has ended: the lock goes, or is kept as long as the job is where the state still counts. A
    /// lock that another job has taken is left alone.
    ///
    /// # Errors
    /// The AWS error; the lock may be gone.
    pub async fn release_lock(&self, job: &Job, key: &UniqueKey, keep: bool) -> Result<()> {
        // A late follow-up of an earlier life must not undo that of an operator's retry.
        let ours = "(j = :job AND (attribute_not_exists(rv) OR rv <= :revision))";
        let failure = if keep {
            let Some(ttl) = self.job_ttl_s(job) else { return Ok(()) };
            let kept = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(keys::unique(key)))
                .update_expression("SET #ttl = :ttl")
                .condition_expression(ours)
                .expression_attribute_names("#ttl", "ttl")
                .expression_attribute_values(":ttl", n(ttl))
                .expression_attribute_values(":revision", n(job.revision))
                .expression_attribute_values(":job", s(job.id.as_str()));
            match kept.send().boxed().await {
                Ok(_) => return Ok(()),
                Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
                    return Ok(());
                }
                Err(e) => service_error(Service::DynamoDb, "UpdateItem", &e),
            }
        } else {
            let freed = self
                .client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(keys::unique(key)))
                .condition_expression(format!("attribute_not_exists(pk) OR {ours}"))
                .expression_attribute_values(":revision", n(job.revision))
                .expression_attribute_values(":job", s(job.id.as_str()));
            match freed.send().boxed().await {
                Ok(_) => return Ok(()),
                Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
                    return Ok(());
                }
                Err(e) => service_error(Service::DynamoDb, "DeleteItem", &e),
            }
        };
        Err(failure)
    }

    /// Removes a lock whose job is gone, unless another write has changed it since it was read.
    ///
    /// # Errors
    /// The AWS error; it may be gone.
    pub async fn drop_lock(&self, lock: &Lock) -> Result<()> {
        let dropped = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::unique(&lock.key)))
            .condition_expression("attribute_not_exists(pk) OR nc = :nonce")
            .expression_attribute_values(":nonce", n(lock.nonce));
        match dropped.send().boxed().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(service_error(Service::DynamoDb, "DeleteItem", &e)),
        }
    }

    /// Notes that the holder's message has been sent again; `false` when the lock has changed since.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn note_resent(&self, lock: &Lock) -> Result<bool> {
        let noted = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::unique(&lock.key)))
            .update_expression("SET sn = :one")
            .condition_expression("nc = :nonce")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":nonce", n(lock.nonce));
        match noted.send().boxed().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
    }
}

fn locked(mut reasons: Vec<Reason>, job: JobWrite<'_>) -> Result<Locked> {
    // A taken id says more than a lock, which may be the same request's.
    if let (JobWrite::New(_), Some(Reason::Condition(found))) = (job, reasons.get_mut(1)) {
        let item = found.take().ok_or_else(|| Error::internal("a refused put came without the item in its way"))?;
        return Ok(Locked::Taken(Box::new(job_of(item)?)));
    }
    match reasons.into_iter().next() {
        Some(Reason::Condition(Some(mut item))) => {
            let pk = take_s(&mut item, "pk").unwrap_or_default();
            let key = keys::unique_of_pk(&pk).ok_or_else(|| Error::internal("a lock whose key is not one"))?;
            Ok(Locked::Held(lock_of(item, key)?))
        }
        // The lock that was to be taken over is gone, or something else stood in the way.
        _ => Ok(Locked::Raced),
    }
}

fn item_of(lock: &Lock) -> Item {
    let mut item = keys::unique(&lock.key);
    item.insert("j".to_owned(), s(lock.job.as_str()));
    item.insert("st".to_owned(), n(lock.states.bits()));
    item.insert("nc".to_owned(), n(lock.nonce));
    item.insert("rv".to_owned(), n(lock.revision));
    if let Some(at) = lock.expires_at {
        item.insert("ex".to_owned(), n(at));
    }
    item
}

pub(in crate::store) fn lock_of(mut item: Item, key: UniqueKey) -> Result<Lock> {
    let broken = || Error::internal("a lock is missing an attribute");
    Ok(Lock {
        key,
        states: get_n(&item, "st")
            .and_then(|bits| u8::try_from(bits).ok())
            .map(States::from_bits)
            .ok_or_else(broken)?,
        expires_at: get_n(&item, "ex"),
        resent: item.contains_key("sn"),
        nonce: get_u64(&item, "nc").ok_or_else(broken)?,
        revision: get_u64(&item, "rv").unwrap_or(0),
        job: take_s(&mut item, "j").and_then(|id| JobId::parse(&id)).ok_or_else(broken)?,
    })
}
