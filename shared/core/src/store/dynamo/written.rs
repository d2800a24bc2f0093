//! How a conditional write ends, whichever of the three operations it is.

use std::fmt::Debug;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use ojs_model::error::{Error, Result};

use super::attributes::Item;
use super::unconditional::arrives_late;
use crate::aws::{Service, is_refusal, service_error};

/// How a write ended.
#[derive(Debug)]
pub(in crate::store) enum Written {
    /// It took effect; the item before or after, where the write asked for it.
    Done(Option<Item>),
    /// Its condition did not hold; the item as it is, where the write asked for it and there is one.
    Refused(Option<Item>),
}

impl Written {
    /// Whether it took effect.
    pub(in crate::store) fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// A write that DynamoDB did not answer, or refused for another reason than its condition.
#[derive(Debug)]
pub(in crate::store) struct WriteFailure {
    /// What the client is told.
    pub error: Error,
    /// Whether it may have taken effect all the same.
    pub maybe_done: bool,
    /// Whether it may still take effect: DynamoDB has not answered.
    pub arrives_late: bool,
    /// Whether the item would be larger than DynamoDB holds.
    pub too_large: bool,
}

impl From<WriteFailure> for Error {
    fn from(failure: WriteFailure) -> Self {
        failure.error
    }
}

/// The error of a write that may have a condition.
pub(super) trait Conditional {
    /// The item in the way, if it is a condition that did not hold.
    fn refused(&self) -> Option<Option<Item>>;
}

macro_rules! conditional {
    ($($error:ident)+) => {
        $(impl Conditional for $error {
            fn refused(&self) -> Option<Option<Item>> {
                match self {
                    Self::ConditionalCheckFailedException(refused) => Some(refused.item.clone()),
                    _ => None,
                }
            }
        })+
    };
}
conditional!(PutItemError UpdateItemError DeleteItemError);

/// Reads the answer to a write.
pub(super) fn ended<E, R>(
    action: &'static str,
    sent: std::result::Result<Option<Item>, SdkError<E, R>>,
) -> std::result::Result<Written, WriteFailure>
where
    E: Conditional + ProvideErrorMetadata + std::error::Error + 'static,
    R: Debug,
{
    let failure = match sent {
        Ok(item) => return Ok(Written::Done(item)),
        Err(failure) => failure,
    };
    if let Some(item) = failure.as_service_error().and_then(Conditional::refused) {
        return Ok(Written::Refused(item));
    }
    let too_large = failure.as_service_error().is_some_and(is_item_too_large);
    Err(WriteFailure {
        maybe_done: !is_refusal(&failure),
        arrives_late: arrives_late(&failure),
        too_large,
        error: service_error(Service::DynamoDb, action, &failure),
    })
}

/// The item that an update answers.
pub(in crate::store) fn answered(item: Option<Item>) -> Result<Item> {
    item.ok_or_else(|| Error::internal("an update came back without its item"))
}

fn is_item_too_large(error: &impl ProvideErrorMetadata) -> bool {
    error.code() == Some("ValidationException")
        && error.message().is_some_and(|m| m.to_ascii_lowercase().contains("item size"))
}
