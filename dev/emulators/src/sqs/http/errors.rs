//! The errors of SQS: JSON type, query-compatible code (what boto3 and the Rust SDK map by) and
//! HTTP status.

/// Which error, without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    InternalFailure,
    InvalidAddress,
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidBatchEntryId,
    InvalidMessageContents,
    InvalidParameterValue,
    MessageNotInflight,
    MissingParameter,
    OverLimit,
    PurgeQueueInProgress,
    QueueDeletedRecently,
    QueueDoesNotExist,
    QueueNameExists,
    ReceiptHandleIsInvalid,
    RequestTooLarge,
    ResourceNotFound,
    Serialization,
    ServiceUnavailable,
    Throttled,
    TooManyEntriesInBatchRequest,
    UnknownOperation,
    UnsupportedOperation,
}

impl ErrorKind {
    /// HTTP status, `__type`, and the code for the `x-amzn-query-error` header.
    #[rustfmt::skip] // a table
    pub(crate) fn wire(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BatchEntryIdsNotDistinct => (400, "com.amazonaws.sqs#BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
            Self::BatchRequestTooLong => (400, "com.amazonaws.sqs#BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"),
            Self::EmptyBatchRequest => (400, "com.amazonaws.sqs#EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest"),
            Self::InternalFailure => (500, "com.amazon.coral.service#InternalFailure", "InternalFailure"),
            Self::InvalidAddress => (404, "com.amazonaws.sqs#InvalidAddress", "InvalidAddress"),
            Self::InvalidAttributeName => (400, "com.amazonaws.sqs#InvalidAttributeName", "InvalidAttributeName"),
            Self::InvalidAttributeValue => (400, "com.amazonaws.sqs#InvalidAttributeValue", "InvalidAttributeValue"),
            Self::InvalidBatchEntryId => (400, "com.amazonaws.sqs#InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId"),
            Self::InvalidMessageContents => (400, "com.amazonaws.sqs#InvalidMessageContents", "InvalidMessageContents"),
            Self::InvalidParameterValue => (400, "com.amazonaws.sqs#InvalidParameterValueException", "InvalidParameterValue"),
            Self::MessageNotInflight => (400, "com.amazonaws.sqs#MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"),
            Self::MissingParameter => (400, "com.amazonaws.sqs#MissingParameterException", "MissingParameter"),
            Self::OverLimit => (403, "com.amazonaws.sqs#OverLimit", "OverLimit"),
            Self::PurgeQueueInProgress => (403, "com.amazonaws.sqs#PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress"),
            Self::QueueDeletedRecently => (400, "com.amazonaws.sqs#QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently"),
            Self::QueueDoesNotExist => (400, "com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
            Self::QueueNameExists => (400, "com.amazonaws.sqs#QueueNameExists", "QueueAlreadyExists"),
            Self::ReceiptHandleIsInvalid => (404, "com.amazonaws.sqs#ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"),
            Self::RequestTooLarge => (413, "com.amazon.coral.service#RequestEntityTooLargeException", "RequestEntityTooLarge"),
            Self::ResourceNotFound => (404, "com.amazonaws.sqs#ResourceNotFoundException", "ResourceNotFoundException"),
            Self::Serialization => (400, "com.amazon.coral.service#SerializationException", "SerializationException"),
            Self::ServiceUnavailable => (503, "com.amazon.coral.service#ServiceUnavailableException", "ServiceUnavailable"),
            // Both names at once, as AWS sends it: the JSON type and the query code differ.
            Self::Throttled => (400, "com.amazon.coral.availability#ThrottlingException", "RequestThrottled"),
            Self::TooManyEntriesInBatchRequest => (400, "com.amazonaws.sqs#TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
            Self::UnknownOperation => (400, "com.amazon.coral.service#UnknownOperationException", "InvalidAction"),
            Self::UnsupportedOperation => (400, "com.amazonaws.sqs#UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation"),
        }
    }

    /// Whether the caller is at fault (and need not try again).
    pub(crate) fn is_sender_fault(self) -> bool {
        self.wire().0 < 500
    }
}

/// An error answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub(crate) struct SqsError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl SqsError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn queue_does_not_exist() -> Self {
        Self::new(ErrorKind::QueueDoesNotExist, "The specified queue does not exist.")
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        let message = format!("The request must contain the parameter {parameter}.");
        Self::new(ErrorKind::MissingParameter, message)
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidParameterValue, message)
    }

    /// AWS's usual text for a value outside its range.
    pub(crate) fn invalid_value(value: impl std::fmt::Display, parameter: &str, reason: &str) -> Self {
        Self::invalid_parameter(format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}"))
    }

    pub(crate) fn throttled() -> Self {
        Self::new(ErrorKind::Throttled, "Rate exceeded")
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(ErrorKind::ServiceUnavailable, "Service Unavailable; Please try again later.")
    }

    pub(crate) fn internal() -> Self {
        Self::new(ErrorKind::InternalFailure, "We encountered an internal error. Please try again.")
    }
}
