//! Results that later steps get: each in an item of its own, written once, so that no step carries those of the steps before it.

use futures::FutureExt;

use super::expire::result_key;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{s, take_s};
use crate::store::{Store, keys};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::MemberOf;
use ojs_model::json::escaped_bytes;

/// Results that were read, the last steps' first.
#[derive(Debug, Default)]
pub struct KeptResults {
    /// Step and JSON.
    pub found: Vec<(usize, String)>,
    /// Whether all that are there were read: the room was not used up before.
    pub all: bool,
}

impl Store {
    /// Keeps the result of a step, JSON. The second time it changes nothing.
    ///
    /// # Errors
    /// The AWS error; it may be kept.
    pub async fn put_result(&self, member: &MemberOf, result: &str) -> Result<()> {
        let mut item = result_key(member);
        if result != "null" {
            item.insert("re".to_owned(), s(result));
        }
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

    /// Reads the kept results of steps `first` to `last` of a workflow, all in one shard where it has `shards`: one query, strongly
    /// consistent, the last steps' first, for as long as they take no more than `room` bytes in an answer.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_results(
        &self,
        workflow: &JobId,
        shards: usize,
        (first, last): (usize, usize),
        room: usize,
    ) -> Result<KeptResults> {
        let (mut kept, mut bytes, mut start) = (KeptResults::default(), 0, None);
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":pk", s(keys::workflow_results_pk(workflow, shards, first)))
                .expression_attribute_values(":first", s(keys::workflow_result_sk(first)))
                .expression_attribute_values(":last", s(keys::workflow_result_sk(last)))
                .scan_index_forward(false)
                .consistent_read(true)
                .set_exclusive_start_key(start);
            let page = query.send().boxed().await.map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
            for mut item in page.items.unwrap_or_default() {
                let step = take_s(&mut item, "sk").and_then(|sk| keys::step_of_result_sk(&sk));
                let result = take_s(&mut item, "re").unwrap_or_else(|| "null".to_owned());
                bytes += escaped_bytes(result.as_bytes());
                kept.found.extend(step.map(|step| (step, result)));
            }
            start = page.last_evaluated_key;
            kept.all = start.is_none();
            if kept.all || bytes > room {
                return Ok(kept);
            }
        }
    }
}
