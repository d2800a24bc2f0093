use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use futures::FutureExt;

use super::item::job_of;
use crate::aws::{Service, is_refusal, service_error};
use crate::store::dynamo::attributes::n;
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::job::Job;

/// How storing a new job ended.
#[derive(Debug)]
pub enum Put {
    /// Stored.
    Done,
    /// The id is taken by this job.
    Taken(Box<Job>),
    /// Not stored for certain (`false`), or unknown (`true`).
    Failed {
        /// What the client is told.
        error: Error,
        /// Whether the write may have taken effect.
        maybe_stored: bool,
    },
}

impl Store {
    /// Stores a new job: one conditional put.
    ///
    /// An SDK retry of a put that took effect meets its own item; the item's nonce or server-made id tells.
    pub async fn put_job(&self, job: &Job) -> Put {
        let item = match self.item_of(job) {
            Ok(item) => item,
            Err(error) => return Put::Failed { error, maybe_stored: false },
        };
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .boxed()
            .await;
        let failure = match sent {
            Ok(_) => return Put::Done,
            Err(failure) => failure,
        };
        if let SdkError::ServiceError(e) = &failure
            && let PutItemError::ConditionalCheckFailedException(refused) = e.err()
        {
            let Some(item) = refused.item.clone() else {
                let error = Error::internal("a refused put came without the item in its way");
                return Put::Failed { error, maybe_stored: false };
            };
            return match job_of(item) {
                // Ids of our own making are unique, so a server-made id can only be our own first try.
                Ok(_) if job.nonce.is_none() => Put::Done,
                Ok(stored) if stored.nonce == job.nonce => Put::Done,
                Ok(stored) => Put::Taken(Box::new(stored)),
                Err(error) => Put::Failed { error, maybe_stored: false },
            };
        }
        Put::Failed {
            maybe_stored: !is_refusal(&failure),
            error: service_error(Service::DynamoDb, "PutItem", &failure),
        }
    }

    /// Takes back a put whose message could not be sent; `false` when the job has moved on since, or is another
    /// request's.
    ///
    /// # Errors
    /// The AWS error; the job may still be there.
    pub async fn undo_put(&self, job: &Job) -> Result<bool> {
        let mut delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::job(&job.id)))
            .expression_attribute_values(":r", n(job.revision));
        // An id that a client chose may be another request's.
        delete = match job.nonce {
            Some(nonce) => delete
                .condition_expression("attribute_not_exists(pk) OR (r = :r AND nc = :nonce)")
                .expression_attribute_values(":nonce", n(nonce)),
            None => delete.condition_expression("attribute_not_exists(pk) OR r = :r"),
        };
        match delete.send().boxed().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(service_error(Service::DynamoDb, "DeleteItem", &e)),
        }
    }
}
