//! What batch calls share: which entries one call takes, and what its answer says of each.

use aws_sdk_sqs::types::BatchResultErrorEntry;

use super::SqsQueue;
use ojs_model::error::{Error, ErrorCode};

/// Batch calls of one operation under way at a time.
pub(super) const CONCURRENCY: usize = 8;

/// Entries by their SQS queue, which is one a call, in their order.
pub(super) fn by_line<'a, T>(entries: impl Iterator<Item = (&'a SqsQueue, T)>) -> Vec<(&'a SqsQueue, Vec<T>)> {
    let mut sqs_queues: Vec<(&SqsQueue, Vec<T>)> = Vec::new();
    for (sqs_queue, entry) in entries {
        match sqs_queues.iter_mut().find(|(known, _)| *known == sqs_queue) {
            Some((_, entries)) => entries.push(entry),
            None => sqs_queues.push((sqs_queue, vec![entry])),
        }
    }
    sqs_queues
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_grouped_by_their_queue_in_order() {
        let (a, b) = (SqsQueue::jobs("a"), SqsQueue::jobs("b"));
        let grouped = by_line([(&a, 1), (&b, 2), (&a, 3)].into_iter());
        assert_eq!(grouped, [(&a, vec![1, 3]), (&b, vec![2])]);
        assert!(by_line::<u8>(std::iter::empty()).is_empty());
    }
}
