//! A queue's state as an item.

use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes as queue;
use crate::store::dynamo::attributes::{Attribute, Item, PK, get_n, take_s};
use crate::store::{Store, keys};
use ojs_model::error::Result;
use ojs_model::json::Fields;
use ojs_model::queue::{QueueConfig, QueueState};

impl Store {
    /// Reads the states of queues, strongly consistent, 100 a call; one that was never paused or configured has none.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn queue_states(&self, names: &[&str]) -> Result<Vec<(String, QueueState)>> {
        let items = self.batch_get(names.iter().map(|name| keys::queue_state(name)).collect()).await?;
        Ok(items
            .into_iter()
            .filter_map(|mut item| {
                let name = keys::queue_of_pk(&take_s(&mut item, PK)?)?.to_owned();
                Some((name, state_of(&item)))
            })
            .collect())
    }
}

pub(in crate::store) fn state_of(item: &Item) -> QueueState {
    let number = |attribute: Attribute| get_n(item, attribute);
    let tiers = match item.get(queue::TIERS.name()) {
        Some(AttributeValue::Ns(tiers)) => tiers.iter().filter_map(|tier| tier.parse().ok()).collect(),
        _ => Vec::new(),
    };
    // One that another version wrote limits nothing here, rather than to stop the queue.
    let config = item
        .get(queue::CONFIG.name())
        .and_then(|config| Fields::from_body(config.as_s().ok()?.as_bytes()).and_then(QueueConfig::parse).ok())
        .unwrap_or_default();
    QueueState {
        paused_at: number(queue::PAUSED_AT),
        last_paused_at: number(queue::LAST_PAUSED_AT),
        resumed_at: number(queue::RESUMED_AT),
        tiers,
        config,
    }
}
