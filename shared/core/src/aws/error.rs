//! What an AWS error means to our client: throttled (429), away (503), or refused (500).

use std::fmt::Debug;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::deadline::call_limit;
use ojs_model::error::{Error, ErrorCode};

/// The services we call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Service {
    DynamoDb,
    Sqs,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "DynamoDB",
            Self::Sqs => "SQS",
        }
    }
}

/// Whether AWS answered that it did *not* do it: everything but a refusal may have taken effect.
pub(crate) fn is_refusal<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::ServiceError(e) => !is_server_side(e.err().code()),
        _ => false,
    }
}

/// The error our client sees; the AWS detail goes to the log.
pub(crate) fn service_error<E, R>(service: Service, action: &'static str, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: Debug,
{
    let name = service.name();
    let (code, aws_code) = match error {
        SdkError::ServiceError(e) => (kind(e.err().code()), e.err().code().unwrap_or("unknown")),
        // Also what was not sent because the request's time was up.
        SdkError::ConstructionFailure(_) if deadline_is_over() => (ErrorCode::BackendUnavailable, "out of time"),
        SdkError::TimeoutError(_) => (ErrorCode::BackendUnavailable, "timeout"),
        SdkError::DispatchFailure(_) => (ErrorCode::BackendUnavailable, "connection"),
        SdkError::ResponseError(_) => (ErrorCode::BackendUnavailable, "unreadable answer"),
        _ => (ErrorCode::BackendError, "request could not be built"),
    };
    // The message names tables, queues and reasons, which the operator needs and a payload never enters.
    let detail = match error {
        SdkError::ServiceError(e) => e.err().message().unwrap_or_default().to_owned(),
        other => DisplayErrorContext(other).to_string(),
    };
    tracing::warn!(service = name, action, aws_code, detail, "AWS call failed");
    let text = match code {
        ErrorCode::RateLimited => format!("{name} throttles {action}; try again shortly."),
        ErrorCode::BackendUnavailable => format!("{name} is not available ({action}); try again shortly."),
        _ => format!("{name} refused {action}."),
    };
    Error::new(code, text).with("service", name).with("action", action).with("aws_code", aws_code)
}

/// Whether the request at work sends no more AWS calls.
fn deadline_is_over() -> bool {
    call_limit().is_some_and(|left| left.is_zero())
}

/// What our client is told of an error with this code.
pub(super) fn kind(aws_code: Option<&str>) -> ErrorCode {
    match aws_code {
        Some(
            "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "SlowDown"
            | "OverLimit"
            | "TransactionInProgressException",
        ) => ErrorCode::RateLimited,
        // A table or queue that is being made or is being replaced comes back by itself.
        // Another write to the same item was under way.
        Some("TransactionConflictException") => ErrorCode::BackendUnavailable,
        Some("ResourceNotFoundException" | "ResourceInUseException" | "QueueDeletedRecently") => {
            ErrorCode::BackendUnavailable
        }
        Some("AWS.SimpleQueueService.QueueDeletedRecently" | "QueueDoesNotExist") => ErrorCode::BackendUnavailable,
        code if is_server_side(code) => ErrorCode::BackendUnavailable,
        _ => ErrorCode::BackendError,
    }
}

/// Errors of the service's own: whether it did the work is unknown.
fn is_server_side(aws_code: Option<&str>) -> bool {
    matches!(
        aws_code,
        None | Some(
            "InternalServerError"
                | "InternalFailure"
                | "InternalError"
                | "ServiceUnavailable"
                | "ServiceUnavailableException"
        )
    )
}
