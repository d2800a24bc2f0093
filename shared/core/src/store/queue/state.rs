//! A queue's state as an item.
//!
//! | name | holds | | name | holds |
//! |---|---|---|---|---|
//! | `pa` | paused since, ms; absent while it is not | | `pl` `ra` | last paused, last resumed, ms |
//! | `pc` | mark of the last pause or resumption, ms | | | |
//! | `tr` | priorities with an SQS queue of their own, a number set | | `cf` | configuration, JSON |

use aws_sdk_dynamodb::types::AttributeValue;

use crate::store::dynamo::attributes::{Item, get_n, take_s};
use crate::store::{Store, keys};
use ojs_model::error::Result;
use ojs_model::json::Fields;
use ojs_model::queue::{QueueConfig, QueueState};

impl Store {
    /// Reads the states of queues, strongly consistent, 100 a call; one that nobody has touched has none.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn queue_states(&self, names: &[&str]) -> Result<Vec<(String, QueueState)>> {
        let items = self.batch_get(names.iter().map(|name| keys::queue_state(name)).collect()).await?;
        Ok(items
            .into_iter()
            .filter_map(|mut item| {
                let name = keys::queue_of_pk(&take_s(&mut item, "pk")?)?.to_owned();
                Some((name, state_of(&item)))
            })
            .collect())
    }
}

pub(in crate::store) fn state_of(item: &Item) -> QueueState {
    let number = |name| get_n(item, name);
    let tiers = match item.get("tr") {
        Some(AttributeValue::Ns(tiers)) => tiers.iter().filter_map(|tier| tier.parse().ok()).collect(),
        _ => Vec::new(),
    };
    // One that another version wrote limits nothing here, rather than to stop the queue.
    let config = item
        .get("cf")
        .and_then(|config| Fields::from_body(config.as_s().ok()?.as_bytes()).and_then(QueueConfig::parse).ok())
        .unwrap_or_default();
    QueueState { paused_at: number("pa"), last_paused_at: number("pl"), resumed_at: number("ra"), tiers, config }
}
