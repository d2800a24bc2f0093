use super::attributes as job;
use super::read::job_of;
use crate::store::dynamo::attributes::Attribute;
use crate::store::dynamo::delete_item::DeleteItem;
use crate::store::dynamo::expression::{Condition, all};
use crate::store::dynamo::written::Written;
use crate::store::{Store, keys};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Job, State};

/// How an attempt to delete a job ended.
#[derive(Debug)]
pub enum Deleted {
    /// It is gone.
    Done,
    /// It is none of these, or its end entails more than the job: a lock, a workflow, slots of limits, a job that waits for it.
    Refused(Box<Job>),
    /// No such job.
    Missing,
}

/// Which jobs a deletion is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletable {
    /// All that have ended.
    Ended,
    /// Dead letters.
    DeadLetter,
}

impl Deletable {
    fn condition(self) -> Condition {
        match self {
            Self::Ended => job::STATE.is_one_of([State::Completed, State::Cancelled, State::Discarded]),
            Self::DeadLetter => job::STATE.is(State::Discarded).and(job::DEAD_PARTITION.exists()),
        }
    }
}

/// The end entails nothing else: no lock, no workflow, no slots, no job that waits for it.
fn stands_alone() -> Condition {
    all([job::UNIQUE_KEY, job::MEMBER_OF, job::HELD_LIMITS, job::SUCCESSOR].map(Attribute::is_absent))
}

impl Store {
    /// Deletes a job that its item shows as ended, and whose end entails nothing else: one conditional delete.
    ///
    /// The SDK does not retry this: a second try could not tell its own success from another caller's.
    ///
    /// # Errors
    /// The AWS error; the job may be gone.
    pub async fn delete_ended(&self, id: &JobId, which: Deletable) -> Result<Deleted> {
        let delete = DeleteItem::of(keys::job(id)).when(which.condition().and(stands_alone()));
        Ok(match delete.showing_refused().once().delete(self).await? {
            Written::Done(_) => Deleted::Done,
            Written::Refused(Some(item)) => Deleted::Refused(Box::new(job_of(item)?)),
            Written::Refused(None) => Deleted::Missing,
        })
    }
}
