use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use futures::FutureExt;

use super::state::state_of;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{get_u64, n};
use crate::store::{Store, keys};
use ojs_model::error::Result;
use ojs_model::job::State;
use ojs_model::queue::{Ended, QueueState};

/// Shards of a queue's counters, each in a partition of its own: a queue may end 1,000 jobs a second on each.
const COUNTER_SHARDS: u32 = 8;

/// How a job ended, as the counters know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Acked.
    Completed,
    /// Called off.
    Cancelled,
    /// Given up.
    Discarded,
}

impl Outcome {
    /// The outcome that a terminal state counts as.
    #[must_use]
    pub fn of(state: State) -> Option<Self> {
        match state {
            State::Completed => Some(Self::Completed),
            State::Cancelled => Some(Self::Cancelled),
            State::Discarded => Some(Self::Discarded),
            _ => None,
        }
    }

    fn attribute(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
        }
    }
}

/// Slots of a shard that remember the last write of a call, so that an SDK retry of it does not count again.
const NONCE_SLOTS: u64 = 16;

impl Store {
    /// Counts what was found in a queue's native dead-letter queue: one update of a random shard.
    ///
    /// # Errors
    /// The AWS error; it may have been counted.
    pub async fn count_drained(&self, queue: &str, resent: usize, dropped: usize, nonce: u64) -> Result<()> {
        let update = self
            .counter_update(queue, nonce)
            .update_expression("ADD dlq_resent :resent, dlq_dropped :dropped SET #slot = :nonce")
            .expression_attribute_values(":resent", n(resent))
            .expression_attribute_values(":dropped", n(dropped));
        counted(update).await
    }

    /// Counts one terminal job of a queue: one update of a random shard. `nonce` marks this call for the SDK's retries.
    ///
    /// # Errors
    /// The AWS error; the job may have been counted.
    pub async fn count(&self, queue: &str, outcome: Outcome, nonce: u64) -> Result<()> {
        let update = self
            .counter_update(queue, nonce)
            .update_expression("ADD #outcome :one SET #slot = :nonce")
            .expression_attribute_names("#outcome", outcome.attribute())
            .expression_attribute_values(":one", n(1));
        counted(update).await
    }

    fn counter_update(&self, queue: &str, nonce: u64) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::counter(queue, fastrand::u32(..COUNTER_SHARDS))))
            .condition_expression("attribute_not_exists(#slot) OR #slot <> :nonce")
            .expression_attribute_names("#slot", format!("n{}", nonce % NONCE_SLOTS))
            .expression_attribute_values(":nonce", n(nonce))
    }

    /// A queue's state, and how many of its jobs have ended: one strongly consistent read of its state and its counters.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn queue_counts(&self, queue: &str) -> Result<(QueueState, Ended)> {
        let (mut state, mut ended) = (QueueState::default(), Ended::default());
        let counters = (0..COUNTER_SHARDS).map(|shard| keys::counter(queue, shard));
        let items = self.batch_get(counters.chain([keys::queue_state(queue)]).collect()).await?;
        for item in items {
            if keys::is_queue_state(&item) {
                state = state_of(&item);
                continue;
            }
            let count = |outcome: Outcome| get_u64(&item, outcome.attribute()).unwrap_or(0);
            ended.completed += count(Outcome::Completed);
            ended.cancelled += count(Outcome::Cancelled);
            ended.discarded += count(Outcome::Discarded);
        }
        Ok((state, ended))
    }
}

async fn counted(update: UpdateItemFluentBuilder) -> Result<()> {
    match update.send().boxed().await {
        Ok(_) => Ok(()),
        // Our own first try.
        Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
        Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
    }
}
