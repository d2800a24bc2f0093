use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use futures::FutureExt;

use super::item::job_of;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::s;
use crate::store::{Store, keys};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Job, State};

/// How an attempt to delete a job ended.
#[derive(Debug)]
pub enum Deleted {
    /// It is gone.
    Done,
    /// It has not ended, or is a unique job or a step of a workflow, of which more is to be done.
    Refused(Box<Job>),
    /// No such job.
    Missing,
}

impl Store {
    /// Deletes a job that its item shows as ended, and that is no unique job and no step of a workflow: one conditional delete.
    ///
    /// The SDK does not retry this: a second try could not tell its own success from somebody else's.
    ///
    /// # Errors
    /// The AWS error; the job may be gone.
    pub async fn delete_ended(&self, id: &JobId) -> Result<Deleted> {
        let no_retry = aws_sdk_dynamodb::config::Builder::new().retry_config(RetryConfig::disabled());
        let sent = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::job(id)))
            .condition_expression(
                "#s IN (:completed, :cancelled, :discarded) AND attribute_not_exists(uk) AND attribute_not_exists(wo)",
            )
            .expression_attribute_names("#s", "s")
            .expression_attribute_values(":completed", s(State::Completed.as_str()))
            .expression_attribute_values(":cancelled", s(State::Cancelled.as_str()))
            .expression_attribute_values(":discarded", s(State::Discarded.as_str()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .config_override(no_retry)
            .send()
            .boxed()
            .await;
        let failure = match sent {
            Ok(_) => return Ok(Deleted::Done),
            Err(failure) => failure,
        };
        if let SdkError::ServiceError(e) = &failure
            && let DeleteItemError::ConditionalCheckFailedException(refused) = e.err()
        {
            return Ok(match refused.item.clone() {
                Some(item) => Deleted::Refused(Box::new(job_of(item)?)),
                None => Deleted::Missing,
            });
        }
        Err(service_error(Service::DynamoDb, "DeleteItem", &failure))
    }
}
