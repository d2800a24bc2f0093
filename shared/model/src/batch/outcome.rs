use crate::job::Job;

/// How far a batch is. One that is not there any more was committed, and all its messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchState {
    /// Its jobs are being written.
    Open,
    /// Its jobs are there; their messages are being sent.
    Committed,
    /// Its jobs are being deleted.
    Aborted,
}

impl BatchState {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Committed => "committed",
            Self::Aborted => "aborted",
        }
    }

    /// Reads [`Self::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Committed, Self::Aborted].into_iter().find(|state| state.as_str() == text)
    }
}

/// Whether a stored job is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchCommit {
    /// It is.
    Committed,
    /// Its batch is being written; whether it will be there is open.
    Undecided,
    /// It never was, and is being deleted.
    Aborted,
}

/// Whether `job` is there, by the state of its batch: `None` when there is no such batch any more.
#[must_use]
pub fn batch_commit(job: &Job, batch: Option<BatchState>) -> BatchCommit {
    match batch.filter(|_| job.batch.is_some()) {
        None | Some(BatchState::Committed) => BatchCommit::Committed,
        Some(BatchState::Open) => BatchCommit::Undecided,
        Some(BatchState::Aborted) => BatchCommit::Aborted,
    }
}
