//! The open steps of a group or batch, spread over items: many jobs end at once without meeting each other, and to note an end
//! twice changes nothing.
//!
//! | name | holds | | name | holds |
//! |---|---|---|---|---|
//! | `pe` | open steps, a number set | | `fa` | steps that failed, a number set |
//! | `rs` | steps whose results are kept, a number set | | `ttl` | when the item may go, s |

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures::FutureExt;

use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{Item, get_n};
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
        item.insert("pe".to_owned(), numbers(steps));
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .boxed()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(service_error(Service::DynamoDb, "PutItem", &e)),
        }
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
        let expression = match (failed, kept) {
            (true, _) => "DELETE pe :step ADD fa :step",
            (false, true) => "DELETE pe :step ADD rs :step",
            (false, false) => "DELETE pe :step",
        };
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::workflow_shard(workflow, shard)))
            .update_expression(expression)
            // A shard that is forgotten must not come back.
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":step", numbers(&[step]))
            .return_values(ReturnValue::AllNew)
            .send()
            .boxed()
            .await;
        match answer {
            Ok(answer) => Ok(Some(shard_of(&answer.attributes.unwrap_or_default()))),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(None),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
    }

    /// Notes that a shard has no open steps left: one update, which changes nothing the second time. Answers whether none has.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn close_shard(&self, workflow: &JobId, shard: usize) -> Result<bool> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::workflow(workflow)))
            .update_expression("DELETE op :shard")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":shard", numbers(&[shard]))
            .return_values(ReturnValue::AllNew)
            .send()
            .boxed()
            .await;
        match answer {
            Ok(answer) => Ok(answer.attributes.is_some_and(|item| !item.contains_key("op"))),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
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
        let of = |key: &keys::Key| items.iter().find(|item| item.get("pk") == key.get("pk")).map(shard_of);
        Ok(keys.iter().map(of).collect())
    }
}

fn numbers(numbers: &[usize]) -> AttributeValue {
    AttributeValue::Ns(numbers.iter().map(ToString::to_string).collect())
}

pub(in crate::store) fn shard_of(item: &Item) -> Shard {
    let set = |name: &str| match item.get(name) {
        Some(AttributeValue::Ns(numbers)) => numbers.iter().filter_map(|text| text.parse().ok()).collect(),
        _ => Vec::new(),
    };
    Shard { open: set("pe"), failed: set("fa"), results: set("rs"), ttl_s: get_n(item, "ttl") }
}
