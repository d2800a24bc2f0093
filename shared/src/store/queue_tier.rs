use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use futures::FutureExt;

use super::attr::n;
use super::queue_state::state_of;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use crate::error::{Error, Result};
use crate::queue::{MAX_TIERS, QueueState};

impl Store {
    /// Notes that jobs of these priorities have SQS queues of their own, the first of them first, as far as there is room for
    /// more tiers. One conditional update; one more where others took the room meanwhile. Answers the state as it is then.
    ///
    /// # Errors
    /// The AWS error; some may have been noted.
    pub async fn add_tiers(&self, queue: &str, priorities: &[i64]) -> Result<QueueState> {
        let mut wanted: Vec<i64> = priorities.iter().copied().take(MAX_TIERS - 1).collect();
        loop {
            let (state, noted) = self.try_tiers(queue, &wanted).await?;
            let room = (MAX_TIERS - 1).saturating_sub(state.tiers.len());
            wanted = priorities.iter().copied().filter(|tier| !state.tiers.contains(tier)).take(room).collect();
            // Tiers are never taken away: each refusal leaves less to be wanted.
            if noted || wanted.is_empty() {
                return Ok(state);
            }
        }
    }

    /// The state, and whether all of these are in it.
    async fn try_tiers(&self, queue: &str, tiers: &[i64]) -> Result<(QueueState, bool)> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::queue_state(queue)))
            .update_expression("ADD tr :set")
            .condition_expression("attribute_not_exists(tr) OR size(tr) <= :room")
            .expression_attribute_values(":set", AttributeValue::Ns(tiers.iter().map(i64::to_string).collect()))
            .expression_attribute_values(":room", n(MAX_TIERS - 1 - tiers.len()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .boxed()
            .await;
        let (item, noted) = match sent {
            Ok(answer) => (answer.attributes, true),
            Err(e) => match e.as_service_error() {
                Some(aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                    full,
                )) => (full.item.clone(), false),
                _ => return Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
            },
        };
        let item = item.ok_or_else(|| Error::internal("an update came back without its item"))?;
        Ok((state_of(&item), noted))
    }
}
