use aws_sdk_dynamodb::types::ReturnValue;
use futures::FutureExt;

use super::state::state_of;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::n;
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::queue::QueueState;

impl Store {
    /// Pauses a queue, unless it is paused: an update of its state, which counts, then one of its entry in the registry,
    /// which lists show.
    ///
    /// # Errors
    /// The AWS error; it may be paused. A repetition does no harm.
    pub async fn pause_queue(&self, name: &str, now_ms: i64) -> Result<QueueState> {
        let state = "SET pa = if_not_exists(pa, :now), pl = if_not_exists(pa, :now)";
        self.change_queue(name, state, "SET ca = if_not_exists(ca, :now), pa = if_not_exists(pa, :now)", now_ms).await
    }

    /// Resumes a queue. The same calls.
    ///
    /// # Errors
    /// As [`Self::pause_queue`].
    pub async fn resume_queue(&self, name: &str, now_ms: i64) -> Result<QueueState> {
        let state = "SET ra = :now REMOVE pa";
        self.change_queue(name, state, "SET ca = if_not_exists(ca, :now) REMOVE pa", now_ms).await
    }

    async fn change_queue(&self, name: &str, state: &str, entry: &str, now_ms: i64) -> Result<QueueState> {
        let update = |key, expression: &str| {
            self.client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key))
                .update_expression(expression)
                .expression_attribute_values(":now", n(now_ms))
        };
        let failed = |e| service_error(Service::DynamoDb, "UpdateItem", &e);
        let answer = update(keys::queue_state(name), state)
            .return_values(ReturnValue::AllNew)
            .send()
            .boxed()
            .await
            .map_err(failed)?;
        update(keys::queue(name), entry).send().boxed().await.map_err(failed)?;
        let item = answer.attributes.ok_or_else(|| Error::internal("an update came back without its item"))?;
        Ok(state_of(&item))
    }
}
