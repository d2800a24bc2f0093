//! The locks of unique jobs.

pub(super) mod attributes;

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::dynamo::attributes::{Attribute, Item, PK, get_n, get_u64, has, n, s, take_s};
use super::dynamo::delete_item::DeleteItem;
use super::dynamo::expression::{Condition, any, item_is_absent};
use super::dynamo::put_item::PutItem;
use super::dynamo::transact::{Reason, Transacted};
use super::dynamo::update_item::UpdateItem;
use super::job::condition::revision_is;
use super::job::read::job_of;
use super::{Store, keys};
use attributes as lock;
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
        new: &Lock,
        take: &Take,
        job: JobWrite<'_>,
        now_ms: i64,
    ) -> Result<Vec<TransactWriteItem>> {
        let free = match take {
            Take::Free => any([item_is_absent(), lock::EXPIRES_AT.at_most(now_ms), lock::JOB.is(&new.job)]),
            Take::Over(old) | Take::Replacing(old, _) => is_as_read(old),
        };
        let mut actions = vec![PutItem::new(item_of(new)).when(free).showing_refused().put_action(self)?];
        actions.push(match job {
            JobWrite::New(job) => {
                PutItem::new(self.item_of(job)?).when(item_is_absent()).showing_refused().put_action(self)?
            }
            JobWrite::Changed(stored, changed) => self.replace_action(stored, changed, new.nonce)?,
        });
        if let Take::Replacing(_, holder) = take {
            let (stored, cancelled) = &**holder;
            actions.push(self.replace_action(stored, cancelled, new.nonce)?);
        }
        Ok(actions)
    }

    /// Undoes a new job and its lock, in one transaction; `false` when the job has moved on since, or a duplicate of it has
    /// been told of it.
    ///
    /// # Errors
    /// The AWS error; both may still be there.
    pub async fn unlock_new_job(&self, job: &Job, lock: &Lock, token: u64) -> Result<bool> {
        let gone = DeleteItem::of(keys::job(&job.id)).when(item_is_absent().or(revision_is(job.revision)));
        let untold = is_as_read(lock).and(lock::RESENT.is_absent());
        let free = DeleteItem::of(keys::unique(&lock.key)).when(item_is_absent().or(untold));
        let actions = vec![gone.delete_action(self)?, free.delete_action(self)?];
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
        let not_newer = lock::REVISION.is_absent().or(lock::REVISION.at_most(job.revision));
        let ours = lock::JOB.is(&job.id).and(not_newer);
        if keep {
            let Some(ttl) = self.job_ttl_s(job) else { return Ok(()) };
            UpdateItem::of(keys::unique(key)).when(ours).set(lock::TTL, ttl).update(self).await?;
        } else {
            DeleteItem::of(keys::unique(key)).when(item_is_absent().or(ours)).delete(self).await?;
        }
        Ok(())
    }

    /// Removes a lock whose job is gone, unless another write has changed it since it was read.
    ///
    /// # Errors
    /// The AWS error; it may be gone.
    pub async fn drop_lock(&self, lock: &Lock) -> Result<()> {
        let unchanged = item_is_absent().or(is_as_read(lock));
        DeleteItem::of(keys::unique(&lock.key)).when(unchanged).delete(self).await?;
        Ok(())
    }

    /// Notes that the holder's message has been sent again; `false` when the lock has changed since.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn note_resent(&self, lock: &Lock) -> Result<bool> {
        let note = UpdateItem::of(keys::unique(&lock.key)).when(is_as_read(lock)).set(lock::RESENT, 1);
        Ok(note.update(self).await?.is_done())
    }
}

/// The lock is the one that was read.
fn is_as_read(lock: &Lock) -> Condition {
    lock::NONCE.is(lock.nonce)
}

fn locked(mut reasons: Vec<Reason>, job: JobWrite<'_>) -> Result<Locked> {
    // A taken id says more than a lock, which may be the same request's.
    if let (JobWrite::New(_), Some(Reason::Condition(found))) = (job, reasons.get_mut(1)) {
        let item = found.take().ok_or_else(|| Error::internal("a refused put came without the item in its way"))?;
        return Ok(Locked::Taken(Box::new(job_of(item)?)));
    }
    match reasons.into_iter().next() {
        Some(Reason::Condition(Some(mut item))) => {
            let pk = take_s(&mut item, PK).unwrap_or_default();
            let key = keys::unique_of_pk(&pk).ok_or_else(|| Error::internal("a lock whose key is not one"))?;
            Ok(Locked::Held(lock_of(item, key)?))
        }
        // The lock that was to be taken over is gone, or something else stood in the way.
        _ => Ok(Locked::Raced),
    }
}

fn item_of(lock: &Lock) -> Item {
    let mut item = keys::unique(&lock.key);
    let mut put = |attribute: Attribute, value| item.insert(attribute.name().to_owned(), value);
    put(lock::JOB, s(lock.job.as_str()));
    put(lock::STATES, n(lock.states.bits()));
    put(lock::NONCE, n(lock.nonce));
    put(lock::REVISION, n(lock.revision));
    if let Some(at) = lock.expires_at {
        put(lock::EXPIRES_AT, n(at));
    }
    item
}

pub(in crate::store) fn lock_of(mut item: Item, key: UniqueKey) -> Result<Lock> {
    let broken = || Error::internal("a lock is missing an attribute");
    Ok(Lock {
        key,
        states: get_n(&item, lock::STATES)
            .and_then(|bits| u8::try_from(bits).ok())
            .map(States::from_bits)
            .ok_or_else(broken)?,
        expires_at: get_n(&item, lock::EXPIRES_AT),
        resent: has(&item, lock::RESENT),
        nonce: get_u64(&item, lock::NONCE).ok_or_else(broken)?,
        revision: get_u64(&item, lock::REVISION).unwrap_or(0),
        job: take_s(&mut item, lock::JOB).and_then(|id| JobId::parse(&id)).ok_or_else(broken)?,
    })
}
