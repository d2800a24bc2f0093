//! Batches: the checks of the whole request, and answers that may fail in part.

use std::collections::HashSet;

use serde::Serialize;

use super::errors::{ErrorKind, SqsError};
use crate::sqs::faults::FaultControl;
use crate::sqs::queue::names::is_batch_entry_id;

const MAX_ENTRIES: usize = 10;

/// An answer that may fail in part.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchAnswer<T> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    successful: Vec<WithId<T>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct WithId<T> {
    #[serde(rename = "Id")]
    id: String,
    #[serde(flatten)]
    result: T,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    id: String,
    sender_fault: bool,
    code: &'static str,
    message: String,
}

/// The result of an entry that has nothing to say.
#[derive(Debug, Serialize)]
pub(crate) struct Done {}

impl<T> Default for BatchAnswer<T> {
    fn default() -> Self {
        Self { successful: Vec::new(), failed: Vec::new() }
    }
}

impl<T> BatchAnswer<T> {
    fn add(&mut self, id: String, result: Result<T, SqsError>) {
        match result {
            Ok(result) => self.successful.push(WithId { id, result }),
            Err(error) => {
                let (_, _, code) = error.kind.wire();
                let sender_fault = error.kind.is_sender_fault();
                self.failed.push(Failure { id, sender_fault, code, message: error.message });
            }
        }
    }

    /// Adds what comes of an entry, unless a fault keeps it from happening.
    pub(crate) fn try_entry(&mut self, faults: &FaultControl, id: String, run: impl FnOnce() -> Result<T, SqsError>) {
        let result = if faults.fails_batch_entry() { Err(SqsError::internal()) } else { run() };
        self.add(id, result);
    }

    pub(crate) fn succeeded(&self) -> usize {
        self.successful.len()
    }
}

/// Checks number and ids of a batch's entries; returns the entries with their ids.
pub(crate) fn check_entries<T>(
    entries: Option<Vec<T>>,
    id: impl Fn(&mut T) -> Option<String>,
) -> Result<Vec<(String, T)>, SqsError> {
    let entries = entries.unwrap_or_default();
    if entries.is_empty() {
        let message = "There should be at least one entry in the request.";
        return Err(SqsError::new(ErrorKind::EmptyBatchRequest, message));
    }
    if entries.len() > MAX_ENTRIES {
        let message =
            format!("Maximum number of entries per request are {MAX_ENTRIES}. You have sent {}.", entries.len());
        return Err(SqsError::new(ErrorKind::TooManyEntriesInBatchRequest, message));
    }
    let mut with_ids = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let id = id(&mut entry).ok_or_else(|| SqsError::missing("Id"))?;
        if !is_batch_entry_id(&id) {
            let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. \
                           It can be at most 80 letters long.";
            return Err(SqsError::new(ErrorKind::InvalidBatchEntryId, message));
        }
        with_ids.push((id, entry));
    }
    let mut seen = HashSet::new();
    match with_ids.iter().find(|(id, _)| !seen.insert(id.as_str())) {
        None => Ok(with_ids),
        Some((id, _)) => Err(SqsError::new(ErrorKind::BatchEntryIdsNotDistinct, format!("Id {id} repeated."))),
    }
}
