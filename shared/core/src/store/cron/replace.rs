use super::attributes as cron;
use super::item::{cron_of, item_of};
use crate::store::Store;
use crate::store::dynamo::expression::item_is_absent;
use crate::store::dynamo::put_item::PutItem;
use crate::store::dynamo::written::Written;
use ojs_model::cron::Cron;
use ojs_model::error::Result;

/// How a conditional write of a cron job ended.
#[derive(Debug)]
pub enum CronUpdated {
    /// Done; the cron job as it is now.
    Done(Box<Cron>),
    /// Another call has written it since; this is it.
    Refused(Box<Cron>),
    /// It is not there (any more).
    Missing,
}

impl Store {
    /// Stores a cron job: a new one where `old` is `None`, else what was computed from `old`, conditional on its
    /// revision. `nonce` marks this call, so that an SDK retry of it knows its own effect (I5).
    ///
    /// # Errors
    /// The AWS error; the write may have taken effect.
    pub async fn put_cron(&self, old: Option<&Cron>, new: &Cron, nonce: u64) -> Result<CronUpdated> {
        let mut new = new.clone();
        new.revision = old.map_or(0, |old| old.revision + 1);
        new.nonce = Some(nonce);
        let unchanged = old.map_or_else(item_is_absent, |old| cron::REVISION.is(old.revision));
        match PutItem::new(item_of(&new)?).when(unchanged).showing_refused().put(self).await? {
            Written::Done(_) => Ok(CronUpdated::Done(Box::new(new))),
            Written::Refused(None) => Ok(CronUpdated::Missing),
            Written::Refused(Some(item)) => {
                let found = Box::new(cron_of(item)?);
                let ours = found.nonce == Some(nonce);
                Ok(if ours { CronUpdated::Done(found) } else { CronUpdated::Refused(found) })
            }
        }
    }
}
