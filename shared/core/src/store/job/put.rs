use super::attributes as job;
use super::condition::revision_is;
use super::read::job_of;
use crate::store::dynamo::delete_item::DeleteItem;
use crate::store::dynamo::expression::item_is_absent;
use crate::store::dynamo::put_item::PutItem;
use crate::store::dynamo::written::Written;
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::job::Job;

/// How storing a new job ended.
#[derive(Debug)]
pub enum Put {
    /// Stored.
    Done,
    /// The id is taken by this job.
    Taken(Box<Job>),
    /// Not stored for certain (`false`), or unknown (`true`).
    Failed {
        /// What the client is told.
        error: Error,
        /// Whether the write may have taken effect.
        maybe_stored: bool,
    },
}

impl Store {
    /// Stores a new job: one conditional put.
    ///
    /// An SDK retry of a put that took effect finds its own item; the item's nonce or server-made id tells.
    pub async fn put_job(&self, job: &Job) -> Put {
        let item = match self.item_of(job) {
            Ok(item) => item,
            Err(error) => return Put::Failed { error, maybe_stored: false },
        };
        match PutItem::new(item).when(item_is_absent()).showing_refused().put(self).await {
            Ok(Written::Done(_)) => Put::Done,
            Ok(Written::Refused(Some(item))) => match job_of(item) {
                // Ids of our own making are unique, so a server-made id can only be our own first try.
                Ok(_) if job.nonce.is_none() => Put::Done,
                Ok(stored) if stored.nonce == job.nonce => Put::Done,
                Ok(stored) => Put::Taken(Box::new(stored)),
                Err(error) => Put::Failed { error, maybe_stored: false },
            },
            Ok(Written::Refused(None)) => {
                let error = Error::internal("a refused put came without the item in its way");
                Put::Failed { error, maybe_stored: false }
            }
            Err(failure) => Put::Failed { error: failure.error, maybe_stored: failure.maybe_done },
        }
    }

    /// Undoes a put whose message could not be sent; `false` when the job has moved on since, or is another
    /// request's.
    ///
    /// # Errors
    /// The AWS error; the job may still be there.
    pub async fn undo_put(&self, job: &Job) -> Result<bool> {
        // An id that a client chose may be another request's.
        let ours = revision_is(job.revision).and_some(job.nonce.map(|nonce| job::NONCE.is(nonce)));
        let delete = DeleteItem::of(keys::job(&job.id)).when(item_is_absent().or(ours));
        Ok(delete.delete(self).await?.is_done())
    }
}
