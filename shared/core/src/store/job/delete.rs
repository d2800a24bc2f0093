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
    /// It is none of these, or its end entails more than the job: a lock, a workflow, slots of limits, a job that waits for it.
    Refused(Box<Job>),
    /// No such job.
    Missing,
}

/// Which jobs a deletion is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletable {
    /// All that have ended.
    Ended,
    /// Dead letters.
    DeadLetter,
}

impl Deletable {
    fn condition(self) -> &'static str {
        match self {
            Self::Ended => "#s IN (:completed, :cancelled, :discarded)",
            Self::DeadLetter => "#s = :discarded AND attribute_exists(dlp)",
        }
    }
}

/// The end entails nothing else: no lock, no workflow, no slots, no job that waits for it.
const ALONE: &str =
    "attribute_not_exists(uk) AND attribute_not_exists(wo) AND attribute_not_exists(lk) AND attribute_not_exists(nb)";

impl Store {
    /// Deletes a job that its item shows as ended, and whose end entails nothing else: one conditional delete.
    ///
    /// The SDK does not retry this: a second try could not tell its own success from somebody else's.
    ///
    /// # Errors
    /// The AWS error; the job may be gone.
    pub async fn delete_ended(&self, id: &JobId, which: Deletable) -> Result<Deleted> {
        let no_retry = aws_sdk_dynamodb::config::Builder::new().retry_config(RetryConfig::disabled());
        let mut delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::job(id)))
            .condition_expression(format!("{} AND {ALONE}", which.condition()))
            .expression_attribute_names("#s", "s")
            .expression_attribute_values(":discarded", s(State::Discarded.as_str()));
        if which == Deletable::Ended {
            delete = delete
                .expression_attribute_values(":completed", s(State::Completed.as_str()))
                .expression_attribute_values(":cancelled", s(State::Cancelled.as_str()));
        }
        let sent = delete
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
