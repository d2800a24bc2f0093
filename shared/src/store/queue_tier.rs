use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use futures::FutureExt;

use super::attr::n;
use super::queue_state::state_of;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use crate::error::{Error, Result};
use crate::queue::{MAX_TIERS, QueueState};

impl Store {
    /// Notes that jobs of this priority have an SQS queue of their own, if there is room for one more tier: one conditional
    /// update. Answers the state as it is then.
    ///
    /// # Errors
    /// The AWS error; it may have been noted.
    pub async fn add_tier(&self, queue: &str, priority: i64) -> Result<QueueState> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::queue_state(queue)))
            .update_expression("ADD tr :set")
            .condition_expression("attribute_not_exists(tr) OR contains(tr, :priority) OR size(tr) < :room")
            .expression_attribute_values(":set", AttributeValue::Ns(vec![priority.to_string()]))
            .expression_attribute_values(":priority", n(priority))
            .expression_attribute_values(":room", n(MAX_TIERS - 1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .boxed()
            .await;
        let item = match sent {
            Ok(answer) => answer.attributes,
            Err(e) => match e.as_service_error() {
                Some(aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                    full,
                )) => full.item.clone(),
                _ => return Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
            },
        };
        item.map(|item| state_of(&item)).ok_or_else(|| Error::internal("an update came back without its item"))
    }
}
