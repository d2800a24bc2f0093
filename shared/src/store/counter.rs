use super::attr::n;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use crate::error::Result;
use crate::job::State;

/// Shards of a queue's counters: a queue may end 1,000 jobs a second on each.
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

impl Store {
    /// Counts what was found in a queue's native dead-letter queue: one update of a random shard.
    ///
    /// # Errors
    /// The AWS error; it may have been counted.
    pub async fn count_drained(&self, queue: &str, resent: usize, dropped: usize) -> Result<()> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::counter(queue, fastrand::u32(..COUNTER_SHARDS))))
            .update_expression("ADD dlq_resent :resent, dlq_dropped :dropped")
            .expression_attribute_values(":resent", n(resent))
            .expression_attribute_values(":dropped", n(dropped))
            .send()
            .await
            .map(|_| ())
            .map_err(|e| service_error(Service::DynamoDb, "UpdateItem", &e))
    }

    /// Counts one terminal job of a queue: one update of a random shard.
    ///
    /// # Errors
    /// The AWS error; the job may have been counted.
    pub async fn count(&self, queue: &str, outcome: Outcome) -> Result<()> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::counter(queue, fastrand::u32(..COUNTER_SHARDS))))
            .update_expression("ADD #outcome :one")
            .expression_attribute_names("#outcome", outcome.attribute())
            .expression_attribute_values(":one", n(1))
            .send()
            .await
            .map(|_| ())
            .map_err(|e| service_error(Service::DynamoDb, "UpdateItem", &e))
    }
}
