//! Transactions: sent once in effect, and refused with the reason of each action.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;
use futures::FutureExt;

use super::attributes::Item;
use crate::aws::{Service, service_error};
use crate::store::Store;
use ojs_model::error::{Error, ErrorCode, Result};

/// How a transaction ended.
#[derive(Debug)]
pub(in crate::store) enum Transacted {
    /// All of it took effect.
    Done,
    /// Nothing took effect; why, for each action in order.
    Refused(Vec<Reason>),
}

/// What one action of a refused transaction met.
#[derive(Debug)]
pub(in crate::store) enum Reason {
    /// Nothing in its way.
    None,
    /// Its condition did not hold for this item, where it asked for it.
    Condition(Option<Item>),
    /// Another write was under way at the same time.
    Conflict,
    /// Something else, by AWS's name.
    Other(String),
}

impl Store {
    /// Sends a transaction. `token` (1 to 36 characters) marks the call: an SDK retry of one that took effect succeeds
    /// without a second effect.
    ///
    /// # Errors
    /// The AWS error, and then it is unknown whether it took effect: the last of the SDK's tries may have been refused and an
    /// earlier one not. Throttling is among them, which the SDK does not try again when it comes as a reason.
    pub(in crate::store) async fn transact(
        &self,
        actions: Vec<TransactWriteItem>,
        token: String,
    ) -> Result<Transacted> {
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions))
            .client_request_token(token)
            .send()
            .boxed()
            .await;
        let failure = match sent {
            Ok(_) => return Ok(Transacted::Done),
            Err(failure) => failure,
        };
        if let SdkError::ServiceError(e) = &failure
            && let TransactWriteItemsError::TransactionCanceledException(cancelled) = e.err()
        {
            let reasons: Vec<Reason> = cancelled
                .cancellation_reasons()
                .iter()
                .map(|reason| match reason.code() {
                    None | Some("None") => Reason::None,
                    Some("ConditionalCheckFailed") => Reason::Condition(reason.item.clone()),
                    Some("TransactionConflict") => Reason::Conflict,
                    Some(other) => Reason::Other(other.to_owned()),
                })
                .collect();
            let other = reasons.iter().find_map(|reason| match reason {
                Reason::Other(code) => Some(code.as_str()),
                _ => None,
            });
            return match other {
                None => Ok(Transacted::Refused(reasons)),
                Some(code) => Err(refused(code)),
            };
        }
        Err(service_error(Service::DynamoDb, "TransactWriteItems", &failure))
    }
}

fn refused(code: &str) -> Error {
    let throttled = matches!(code, "ThrottlingError" | "ProvisionedThroughputExceeded" | "RequestLimitExceeded");
    let error = if throttled {
        Error::new(ErrorCode::RateLimited, "DynamoDB throttles TransactWriteItems; try again shortly.")
    } else {
        Error::new(ErrorCode::BackendError, "DynamoDB refused TransactWriteItems.")
    };
    error.with("service", "DynamoDB").with("action", "TransactWriteItems").with("aws_code", code)
}
