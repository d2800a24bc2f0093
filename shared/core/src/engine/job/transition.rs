//! The one loop of every transition that reads before it writes: decide from the job as stored, write it if it is still as it
//! was read, and decide again when another process has written in between.

use std::future::Future;
use std::sync::Arc;

use super::refuse;
use crate::engine::{Engine, MAX_RACES};
use crate::store::Updated;
use ojs_model::error::{Error, Result};
use ojs_model::job::Job;

/// What is to be made of a job as stored.
pub(in crate::engine) enum Decided {
    /// It is to be written so.
    Write(Box<Job>),
    /// Nothing is left to write: the answer.
    Answer(Box<Job>),
    /// The job has changed in ways that only a read tells.
    ReadAgain,
}

/// What a transition has done.
pub(in crate::engine) enum Transition {
    /// The job was written.
    Written {
        /// As it was read, with its lease.
        before: Arc<Job>,
        /// As it was written.
        after: Box<Job>,
    },
    /// Nothing was left to write.
    Answered(Box<Job>),
}

/// The error of a transition whose item must have room for it, whatever the client sends.
pub(in crate::engine) fn must_fit(what: &'static str) -> impl Fn(&Job) -> Error {
    move |_| Error::internal(format_args!("{what} does not fit its job"))
}

impl Engine {
    /// Writes what `decide` makes of a job that was read, on the revision that was read; decides again, at most
    /// [`MAX_RACES`] times, when that has changed. `too_large` is the error where the job's item has no room for it.
    ///
    /// # Errors
    /// Those of `decide`; `not_found` when the job is gone; `backend_unavailable` when it keeps changing; the AWS error, and
    /// then it may be written.
    pub(in crate::engine) async fn transition<F>(
        &self,
        stored: Job,
        too_large: impl Fn(&Job) -> Error,
        decide: impl Fn(Arc<Job>) -> F,
    ) -> Result<Transition>
    where
        F: Future<Output = Result<Decided>>,
    {
        let mut stored = Arc::new(stored);
        for _ in 0..MAX_RACES {
            let new = match decide(Arc::clone(&stored)).await? {
                Decided::Write(new) => new,
                Decided::Answer(answer) => return Ok(Transition::Answered(answer)),
                Decided::ReadAgain => {
                    let read = self.store.get_job(&stored.id).await?;
                    stored = Arc::new(read.ok_or_else(|| refuse::missing(&stored.id))?);
                    continue;
                }
            };
            match self.replace(&stored, &new).await? {
                Updated::Done(after) => return Ok(Transition::Written { before: stored, after }),
                Updated::Refused(newer) => stored = Arc::new(*newer),
                Updated::Missing => return Err(refuse::missing(&stored.id)),
                Updated::TooLarge => return Err(too_large(&new)),
            }
        }
        Err(refuse::raced(&stored.id))
    }
}
