use super::attributes as cron;
use super::item::item_of;
use crate::store::dynamo::expression::item_is_absent;
use crate::store::dynamo::put_item::PutItem;
use crate::store::dynamo::transact::{Reason, Transacted};
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::job::attributes as job;
use crate::store::job::condition::revision_is;
use crate::store::{Store, keys};
use ojs_model::cron::Cron;
use ojs_model::error::Result;
use ojs_model::job::Job;
use ojs_model::message::JobRef;

/// An occurrence that makes a job.
#[derive(Debug)]
pub struct Firing<'a> {
    /// The cron job as it was read.
    pub old: &'a Cron,
    /// The cron job afterwards.
    pub new: &'a Cron,
    /// The job to make.
    pub job: &'a Job,
    /// The job that it waits for, which is to know of it.
    pub behind: Option<&'a Job>,
    /// The job that it takes the place of: as it was read, and cancelled.
    pub cancel: Option<(&'a Job, &'a Job)>,
}

/// How a firing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// The job is made, and the cron job has moved on.
    Done,
    /// The cron job, or the job before, has changed since it was read; nothing is written.
    Refused,
    /// A job of that id exists, so the occurrence has made its job in an earlier life of the cron job; nothing is written.
    JobExists,
}

impl Store {
    /// Fires an occurrence in one transaction: the cron job moves on if it is as it was read, the job is made if it is not
    /// there, and the job before learns of it or is cancelled. `nonce` marks this call for the SDK's retries.
    ///
    /// # Errors
    /// The AWS error; the transaction may have taken effect as a whole.
    pub async fn fire_cron(&self, firing: Firing<'_>, nonce: u64) -> Result<Fired> {
        let Firing { old, new, job, behind, cancel } = firing;
        let mut new = new.clone();
        new.revision = old.revision + 1;
        new.nonce = Some(nonce);
        let mut actions = vec![
            PutItem::new(item_of(&new)?).when(cron::REVISION.is(old.revision)).put_action(self)?,
            PutItem::new(self.item_of(job)?).when(item_is_absent()).put_action(self)?,
        ];
        if let Some(behind) = behind {
            let learns = UpdateItem::of(keys::job(&behind.id))
                .when(revision_is(behind.revision))
                .set(job::SUCCESSOR, JobRef::to(job).to_body())
                .set(job::REVISION, job::REVISION.plus(1));
            actions.push(learns.update_action(self)?);
        }
        if let Some((stored, cancelled)) = cancel {
            actions.push(self.replace_action(stored, cancelled, nonce)?);
        }
        match self.transact(actions, format!("fire-{nonce:016x}")).await? {
            Transacted::Done => Ok(Fired::Done),
            // The job's own put tells that it exists only where nothing else was in the way.
            Transacted::Refused(reasons) => {
                let job_exists = matches!(reasons.get(1), Some(Reason::Condition(_)));
                let others = reasons.iter().enumerate().any(|(at, reason)| at != 1 && !matches!(reason, Reason::None));
                Ok(if job_exists && !others { Fired::JobExists } else { Fired::Refused })
            }
        }
    }
}
