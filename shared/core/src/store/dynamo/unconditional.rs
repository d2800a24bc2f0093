//! Writes without a condition. A repetition of one that arrives after what follows it undoes that, so they are never
//! repeated while an earlier try may still be under way.

use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_smithy_runtime_api::client::result::SdkError;

use ojs_model::error::Error;

/// How an unconditional write ended.
#[derive(Debug)]
pub enum NewPut {
    /// It is done, and nothing of it is under way any more.
    Done,
    /// DynamoDB has not answered: it may be done, or be done at any time to come.
    Unsettled(Error),
}

/// One try: the SDK would repeat a call whose connection broke, while its first try may still arrive.
pub(in crate::store) fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

/// Whether a call that failed may still arrive: DynamoDB has not answered.
pub(in crate::store) fn arrives_late<E, R>(error: &SdkError<E, R>) -> bool {
    matches!(error, SdkError::TimeoutError(_) | SdkError::DispatchFailure(_))
}
