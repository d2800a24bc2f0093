//! Results that later steps get: each in an item of its own, written once, so that no step carries those of the steps before it.

use super::expire::result_key;
use super::part_attributes as part;
use crate::store::dynamo::attributes::{PK, SK, s, take_s};
use crate::store::dynamo::expression::item_is_absent;
use crate::store::dynamo::put_item::PutItem;
use crate::store::dynamo::query::Query;
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
            item.insert(part::RESULT.name().to_owned(), s(result));
        }
        PutItem::new(item).when(item_is_absent()).put(self).await?;
        Ok(())
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
            let range = SK.is_between(keys::workflow_result_sk(first), keys::workflow_result_sk(last));
            let results = PK.is(keys::workflow_results_pk(workflow, shards, first)).and(range);
            let query = Query::bounded(results).newest_first().consistent(true).after(start);
            let page = query.in_table(self).await?;
            for mut item in page.items {
                let step = take_s(&mut item, SK).and_then(|sk| keys::step_of_result_sk(&sk));
                let result = take_s(&mut item, part::RESULT).unwrap_or_else(|| "null".to_owned());
                bytes += escaped_bytes(result.as_bytes());
                kept.found.extend(step.map(|step| (step, result)));
            }
            start = page.next;
            kept.all = start.is_none();
            if kept.all || bytes > room {
                return Ok(kept);
            }
        }
    }
}
