use super::counter_attributes as counter;
use super::state::state_of;
use crate::store::dynamo::attributes::{Attribute, get_u64, n};
use crate::store::dynamo::update_item::UpdateItem;
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
    /// Cancelled.
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

    fn attribute(self) -> Attribute {
        match self {
            Self::Completed => counter::COMPLETED,
            Self::Cancelled => counter::CANCELLED,
            Self::Discarded => counter::DISCARDED,
        }
    }
}

impl Store {
    /// Counts what was found in a queue's native dead-letter queue: one update of a random shard.
    ///
    /// # Errors
    /// The AWS error; it may have been counted.
    pub async fn count_drained(&self, queue: &str, resent: usize, dropped: usize, nonce: u64) -> Result<()> {
        let update = count_once(queue, nonce).add(counter::RESENT, n(resent)).add(counter::DROPPED, n(dropped));
        // A refusal is our own first try.
        update.update(self).await?;
        Ok(())
    }

    /// Counts one terminal job of a queue: one update of a random shard. `nonce` marks this call for the SDK's retries.
    ///
    /// # Errors
    /// The AWS error; the job may have been counted.
    pub async fn count(&self, queue: &str, outcome: Outcome, nonce: u64) -> Result<()> {
        // A refusal is our own first try.
        count_once(queue, nonce).add(outcome.attribute(), n(1)).update(self).await?;
        Ok(())
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

/// An update of a random shard that takes effect once for each nonce.
fn count_once(queue: &str, nonce: u64) -> UpdateItem {
    let at = usize::try_from(nonce % counter::NONCES.len() as u64).unwrap_or(0);
    let slot = counter::NONCES.get(at).copied().unwrap_or(counter::NONCES[0]);
    UpdateItem::of(keys::counter(queue, fastrand::u32(..COUNTER_SHARDS)))
        .when(slot.is_absent().or(slot.is_not(nonce)))
        .set(slot, nonce)
}
