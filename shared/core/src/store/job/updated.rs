use super::read::job_of;
use crate::store::dynamo::written::{WriteFailure, Written, answered};
use ojs_model::error::Result;
use ojs_model::job::Job;

/// How a conditional update of a job ended.
#[derive(Debug)]
pub enum Updated {
    /// Done; the job as the operation asked for it, before or after.
    Done(Box<Job>),
    /// The condition did not hold for this job.
    Refused(Box<Job>),
    /// No such job.
    Missing,
    /// The item would grow beyond what DynamoDB holds; nothing changed.
    TooLarge,
}

impl Updated {
    /// Reads the answer to an update that asks for the job.
    pub(in crate::store) fn of(written: std::result::Result<Written, WriteFailure>) -> Result<Self> {
        Ok(match written {
            Ok(Written::Done(item)) => Self::Done(Box::new(job_of(answered(item)?)?)),
            Ok(Written::Refused(Some(item))) => Self::Refused(Box::new(job_of(item)?)),
            Ok(Written::Refused(None)) => Self::Missing,
            Err(failure) if failure.too_large => Self::TooLarge,
            Err(failure) => return Err(failure.error),
        })
    }
}
