//! What the answer of a batch call says of each entry.

use aws_sdk_sqs::types::BatchResultErrorEntry;

use crate::error::{Error, ErrorCode};

/// Whether an entry that failed may be tried again as it is: the service was at fault, or throttled it.
pub(super) fn may_be_repeated(entry: &BatchResultErrorEntry) -> bool {
    !entry.sender_fault() || entry.code().contains("Throttl")
}

/// The error of one entry.
pub(super) fn entry_error(action: &'static str, entry: &BatchResultErrorEntry) -> Error {
    tracing::warn!(
        action,
        aws_code = entry.code(),
        detail = entry.message().unwrap_or_default(),
        "entry of an AWS batch failed"
    );
    let code = if may_be_repeated(entry) { ErrorCode::BackendUnavailable } else { ErrorCode::BackendError };
    Error::new(code, format!("SQS refused a message of {action}."))
        .with("service", "SQS")
        .with("action", action)
        .with("aws_code", entry.code())
}
