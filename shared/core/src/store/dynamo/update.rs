//! The one shape that every transition has: a conditional update that answers the job.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::FutureExt;

use super::attributes::s;
use crate::aws::{Service, service_error};
use crate::store::job::item::job_of;
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Holder, Job};

/// How a conditional update of a job ended.
#[derive(Debug)]
pub enum Updated {
    /// Done; the job as the operation asked for it, before or after.
    Done(Box<Job>),
    /// The condition did not hold for this job.
    Refused(Box<Job>),
    /// No such job.
    Missing,
    /// The item would grow beyond what DynamoDB holds; nothing changed.
    TooLarge,
}

impl Store {
    pub(in crate::store) fn update(&self, id: &JobId) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.table).set_key(Some(keys::job(id)))
    }
}

/// Sends an update whose answer is the job as it was (`AllOld`) or is (`AllNew`).
///
/// # Errors
/// The AWS error; the update may have taken effect.
pub(in crate::store) async fn send(update: UpdateItemFluentBuilder, answer: ReturnValue) -> Result<Updated> {
    let sent = update
        .return_values(answer)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .boxed()
        .await;
    let failure = match sent {
        Ok(answer) => {
            let item = answer.attributes.ok_or_else(|| Error::internal("an update came back without its item"))?;
            return Ok(Updated::Done(Box::new(job_of(item)?)));
        }
        Err(failure) => failure,
    };
    match failure.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refused)) => match refused.item.clone() {
            Some(item) => Ok(Updated::Refused(Box::new(job_of(item)?))),
            None => Ok(Updated::Missing),
        },
        Some(other) if is_item_too_large(other) => Ok(Updated::TooLarge),
        _ => Err(service_error(Service::DynamoDb, "UpdateItem", &failure)),
    }
}

/// The condition that the job is active under a running lease that nothing says is not `holder`'s. Where leases have lapsed
/// before, it refuses a holder that does not say enough to be told from the workers that held them.
pub(in crate::store) fn fenced(mut update: UpdateItemFluentBuilder, holder: &Holder) -> UpdateItemFluentBuilder {
    let mut condition = "#s = :active AND lu > :now AND xd > :now".to_owned();
    if let Some(token) = &holder.token {
        condition.push_str(" AND lt = :token");
        update = update.expression_attribute_values(":token", s(token));
    }
    if let Some(worker) = &holder.worker {
        let unnamed = if holder.token.is_some() { "" } else { " AND attribute_not_exists(lb)" };
        condition.push_str(&format!(" AND ((attribute_not_exists(lw){unnamed}) OR lw = :worker)"));
        update = update.expression_attribute_values(":worker", s(worker));
    }
    if holder.token.is_none() && holder.worker.is_none() {
        condition.push_str(" AND attribute_not_exists(lb)");
    }
    update.condition_expression(condition)
}

fn is_item_too_large(error: &UpdateItemError) -> bool {
    error.code() == Some("ValidationException")
        && error.message().is_some_and(|m| m.to_ascii_lowercase().contains("item size"))
}
