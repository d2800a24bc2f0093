use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use futures::FutureExt;

use super::state::state_of;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{get_n, n};
use crate::store::{Store, keys};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::queue::QueueState;

/// Most tries of a request that finds a later mark than its own, each with a mark after the one found.
const MAX_TRIES: u32 = 5;
/// Each write bears a mark, a time in ms, and is made only over an earlier mark: a request that hung and arrives late changes
/// nothing.
const LATER: &str = "(attribute_not_exists(pc) OR pc < :at)";

impl Store {
    /// Pauses a queue, unless it is paused: an update of its state, which counts, then one of its entry in the registry,
    /// which lists show.
    ///
    /// # Errors
    /// The AWS error; it may be paused. A repetition does no harm.
    pub async fn pause_queue(&self, name: &str, now_ms: i64) -> Result<QueueState> {
        let state = "SET pa = if_not_exists(pa, :now), pl = if_not_exists(pa, :now), pc = :at";
        let entry = "SET ca = if_not_exists(ca, :now), pa = if_not_exists(pa, :now), pc = :at";
        self.change_queue(name, state, entry, now_ms).await
    }

    /// Resumes a queue. The same calls.
    ///
    /// # Errors
    /// As [`Self::pause_queue`].
    pub async fn resume_queue(&self, name: &str, now_ms: i64) -> Result<QueueState> {
        let state = "SET ra = :now, pc = :at REMOVE pa";
        let entry = "SET ca = if_not_exists(ca, :now), pc = :at REMOVE pa";
        self.change_queue(name, state, entry, now_ms).await
    }

    async fn change_queue(&self, name: &str, state: &str, entry: &str, now_ms: i64) -> Result<QueueState> {
        let mut at = now_ms;
        for _ in 0..MAX_TRIES {
            match self.mark_queue(keys::queue_state(name), state, now_ms, at).await? {
                Marked::Done(state) => {
                    // Refused, it shows what a later request has written.
                    self.mark_queue(keys::queue(name), entry, now_ms, at).await?;
                    return Ok(state);
                }
                Marked::After(later) => at = later + 1,
            }
        }
        Err(Error::new(ErrorCode::BackendUnavailable, "The queue keeps changing; try again shortly."))
    }

    async fn mark_queue(&self, key: keys::Key, expression: &str, now_ms: i64, at: i64) -> Result<Marked> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(expression)
            .condition_expression(LATER)
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":at", n(at))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .boxed()
            .await;
        let failure = match sent {
            Ok(answer) => {
                let item = answer.attributes.ok_or_else(|| Error::internal("an update came back without its item"))?;
                return Ok(Marked::Done(state_of(&item)));
            }
            Err(failure) => failure,
        };
        match failure.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let later = refused.item.as_ref().and_then(|item| get_n(item, "pc"));
                Ok(Marked::After(later.unwrap_or(at)))
            }
            _ => Err(service_error(Service::DynamoDb, "UpdateItem", &failure)),
        }
    }
}

/// What came of a write with a mark.
enum Marked {
    Done(QueueState),
    /// The item bears this later mark.
    After(i64),
}
