//! The open steps of a group or batch, spread over items: many jobs end at once without meeting each other, and to note an end
//! twice changes nothing.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{attributes as workflow, part_attributes as part};
use crate::store::dynamo::attributes::{Attribute, Item, PK, get_n, has};
use crate::store::dynamo::expression::{item_exists, item_is_absent};
use crate::store::dynamo::put_item::PutItem;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::dynamo::written::Written;
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;

/// The steps of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shard {
    /// Steps whose jobs have not ended, as far as is noted.
    pub open: Vec<usize>,
    /// Steps whose jobs failed.
    pub failed: Vec<usize>,
    /// Steps whose results are kept.
    pub results: Vec<usize>,
    /// When the table may forget it, s since the Unix epoch; set once its workflow has ended.
    pub ttl_s: Option<i64>,
}

impl Store {
    /// Makes the shard of `steps`, unless it is there.
    ///
    /// # Errors
    /// The AWS error; it may be made.
    pub async fn put_shard(&self, workflow: &JobId, shard: usize, steps: &[usize]) -> Result<()> {
        let mut item = keys::workflow_shard(workflow, shard);
        item.insert(part::OPEN.name().to_owned(), numbers(steps));
        PutItem::new(item).when(item_is_absent()).put(self).await?;
        Ok(())
    }

    /// Notes that a step's job has ended, and whether its result is kept: one update, which changes nothing the second time.
    /// Answers the shard as it is then; `None` when it is forgotten.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn close_step(
        &self,
        workflow: &JobId,
        shard: usize,
        step: usize,
        failed: bool,
        kept: bool,
    ) -> Result<Option<Shard>> {
        // A shard that is forgotten must not come back.
        let close = UpdateItem::of(keys::workflow_shard(workflow, shard))
            .when(item_exists())
            .delete_from(part::OPEN, numbers(&[step]));
        let close = match (failed, kept) {
            (true, _) => close.add(part::FAILED, numbers(&[step])),
            (false, true) => close.add(part::RESULTS, numbers(&[step])),
            (false, false) => close,
        };
        Ok(match close.returning_new(self).await? {
            Written::Done(item) => Some(shard_of(&item.unwrap_or_default())),
            Written::Refused(_) => None,
        })
    }

    /// Notes that a shard has no open steps left: one update, which changes nothing the second time. Answers whether none has.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn close_shard(&self, workflow: &JobId, shard: usize) -> Result<bool> {
        let close = UpdateItem::of(keys::workflow(workflow))
            .when(item_exists())
            .delete_from(workflow::OPEN_SHARDS, numbers(&[shard]));
        Ok(match close.returning_new(self).await? {
            Written::Done(item) => item.is_some_and(|item| !has(&item, workflow::OPEN_SHARDS)),
            Written::Refused(_) => false,
        })
    }

    /// The shards of a group or batch, in order, strongly consistent: one read.
    ///
    /// # Errors
    /// The AWS error; `internal_error` when one is missing.
    pub async fn get_shards(&self, workflow: &JobId, count: usize) -> Result<Vec<Shard>> {
        let found = self.find_shards(workflow, count).await?;
        let all: Option<Vec<Shard>> = found.into_iter().collect();
        all.ok_or_else(|| Error::internal(format_args!("workflow {workflow}: shards are missing")))
    }

    /// The same; those that have not been made, or are forgotten, are `None`.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn find_shards(&self, workflow: &JobId, count: usize) -> Result<Vec<Option<Shard>>> {
        let keys: Vec<_> = (0..count).map(|shard| keys::workflow_shard(workflow, shard)).collect();
        let items = self.batch_get(keys.clone()).await?;
        let of = |key: &keys::Key| items.iter().find(|item| item.get(PK.name()) == key.get(PK.name())).map(shard_of);
        Ok(keys.iter().map(of).collect())
    }
}

fn numbers(numbers: &[usize]) -> AttributeValue {
    AttributeValue::Ns(numbers.iter().map(ToString::to_string).collect())
}

pub(in crate::store) fn shard_of(item: &Item) -> Shard {
    let set = |attribute: Attribute| match item.get(attribute.name()) {
        Some(AttributeValue::Ns(numbers)) => numbers.iter().filter_map(|text| text.parse().ok()).collect(),
        _ => Vec::new(),
    };
    Shard {
        open: set(part::OPEN),
        failed: set(part::FAILED),
        results: set(part::RESULTS),
        ttl_s: get_n(item, part::TTL),
    }
}
