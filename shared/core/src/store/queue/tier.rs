use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes as queue;
use super::state::state_of;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::dynamo::written::{Written, answered};
use crate::store::{Store, keys};
use ojs_model::error::Result;
use ojs_model::queue::{MAX_TIERS, QueueState, is_reserved, nearest_tier};

impl Store {
    /// Notes that jobs of these priorities have SQS queues of their own, the first of them first, as far as there is room for
    /// more tiers, and the tiers that the others join. One update; one more where other processes took the room meanwhile, for
    /// reserved tiers beside others, and for a reserved tier that is joined for the first time. Answers the state as it is then.
    ///
    /// # Errors
    /// The AWS error; some may have been noted.
    pub async fn add_tiers(&self, queue: &str, priorities: &[i64]) -> Result<QueueState> {
        let (reserved, others): (Vec<i64>, Vec<i64>) = priorities.iter().partition(|tier| is_reserved(**tier));
        if others.is_empty() {
            return self.reserve_tiers(queue, &reserved).await;
        }
        let mut wanted: Vec<i64> = others.iter().copied().take(MAX_TIERS - 1).collect();
        let state = loop {
            let (state, noted) = self.try_tiers(queue, &wanted, Some(MAX_TIERS - 1 - wanted.len())).await?;
            let room = (MAX_TIERS - 1).saturating_sub(state.tiers.len());
            wanted = others.iter().copied().filter(|tier| !state.tiers.contains(tier)).take(room).collect();
            // Tiers are never taken away: each refusal leaves less to be wanted.
            if noted || wanted.is_empty() {
                break state;
            }
        };
        let joined = others.iter().map(|priority| nearest_tier(*priority, &state.tiers));
        let mut missing: Vec<i64> = joined.chain(reserved).filter(|tier| !state.tiers.contains(tier)).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() { Ok(state) } else { self.reserve_tiers(queue, &missing).await }
    }

    /// Notes tiers for which there is always room.
    async fn reserve_tiers(&self, queue: &str, tiers: &[i64]) -> Result<QueueState> {
        self.try_tiers(queue, tiers, None).await.map(|(state, _)| state)
    }

    /// Adds these if there are no more than `most` yet. The state, and whether all of these are in it.
    async fn try_tiers(&self, queue: &str, tiers: &[i64], most: Option<usize>) -> Result<(QueueState, bool)> {
        let set = AttributeValue::Ns(tiers.iter().map(i64::to_string).collect());
        let mut add = UpdateItem::of(keys::queue_state(queue)).add(queue::TIERS, set);
        if let Some(most) = most {
            add = add.when(queue::TIERS.has_at_most(most));
        }
        let (item, noted) = match add.returning_new(self).await? {
            Written::Done(item) => (item, true),
            Written::Refused(item) => (item, false),
        };
        let item = answered(item)?;
        Ok((state_of(&item), noted))
    }
}
