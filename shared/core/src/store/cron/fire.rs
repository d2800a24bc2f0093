use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};

use super::item::item_of;
use crate::store::dynamo::attributes::{n, s};
use crate::store::dynamo::transact::{Reason, Transacted};
use crate::store::{Store, keys};
use ojs_model::cron::Cron;
use ojs_model::error::{Error, Result};
use ojs_model::job::Job;

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
        let cron = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item_of(&new)?))
            .condition_expression("r = :old_revision")
            .expression_attribute_values(":old_revision", n(old.revision));
        let made = Put::builder()
            .table_name(&self.table)
            .set_item(Some(self.item_of(job)?))
            .condition_expression("attribute_not_exists(pk)");
        let mut actions = vec![
            TransactWriteItem::builder().put(cron.build().map_err(Error::internal)?).build(),
            TransactWriteItem::builder().put(made.build().map_err(Error::internal)?).build(),
        ];
        if let Some(behind) = behind {
            let learns = Update::builder()
                .table_name(&self.table)
                .set_key(Some(keys::job(&behind.id)))
                .update_expression("SET nb = :message, r = r + :one")
                .condition_expression("r = :revision")
                .expression_attribute_values(":message", s(ojs_model::message::JobRef::to(job).to_body()))
                .expression_attribute_values(":one", n(1))
                .expression_attribute_values(":revision", n(behind.revision));
            actions.push(TransactWriteItem::builder().update(learns.build().map_err(Error::internal)?).build());
        }
        if let Some((stored, cancelled)) = cancel {
            let update = self.transact_replace(stored, cancelled, nonce)?;
            actions.push(TransactWriteItem::builder().update(update).build());
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
