use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use futures::FutureExt;

use super::item::{cron_of, item_of};
use crate::aws::{Service, service_error};
use crate::store::Store;
use crate::store::dynamo::attributes::n;
use ojs_model::cron::Cron;
use ojs_model::error::Result;

/// How a conditional write of a cron job ended.
#[derive(Debug)]
pub enum CronUpdated {
    /// Done; the cron job as it is now.
    Done(Box<Cron>),
    /// Somebody else has written it since; this is it.
    Refused(Box<Cron>),
    /// It is not there (any more).
    Missing,
}

impl Store {
    /// Stores a cron job: a new one where `old` is `None`, else what was computed from `old`, conditional on its
    /// revision. `nonce` marks this call, so that an SDK retry of it knows its own effect (I5).
    ///
    /// # Errors
    /// The AWS error; the write may have taken effect.
    pub async fn put_cron(&self, old: Option<&Cron>, new: &Cron, nonce: u64) -> Result<CronUpdated> {
        let mut new = new.clone();
        new.revision = old.map_or(0, |old| old.revision + 1);
        new.nonce = Some(nonce);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item_of(&new)?))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match old {
            Some(old) => put
                .condition_expression("r = :old_revision")
                .expression_attribute_values(":old_revision", n(old.revision)),
            None => put.condition_expression("attribute_not_exists(pk)"),
        };
        let failure = match put.send().boxed().await {
            Ok(_) => return Ok(CronUpdated::Done(Box::new(new))),
            Err(failure) => failure,
        };
        if let SdkError::ServiceError(e) = &failure
            && let PutItemError::ConditionalCheckFailedException(refused) = e.err()
        {
            return match refused.item.clone().map(cron_of).transpose()? {
                Some(found) if found.nonce == Some(nonce) => Ok(CronUpdated::Done(Box::new(found))),
                Some(found) => Ok(CronUpdated::Refused(Box::new(found))),
                None => Ok(CronUpdated::Missing),
            };
        }
        Err(service_error(Service::DynamoDb, "PutItem", &failure))
    }
}
