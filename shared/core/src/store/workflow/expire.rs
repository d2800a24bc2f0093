//! What belongs to a workflow that has ended gets a time to live.

use aws_sdk_dynamodb::types::ReturnValue;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::part_attributes as part;
use super::shard::shard_of;
use crate::store::dynamo::expression::item_exists;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::dynamo::written::Written;
use crate::store::{Store, keys};
use ojs_model::error::Result;
use ojs_model::job::{MemberOf, MemberRole};
use ojs_model::workflow::Workflow;

/// Updates under way at a time.
const CONCURRENCY: usize = 32;

impl Store {
    /// Lets the table forget what belongs to a workflow that ended at `at_ms`: its definition and shards and, unless that is
    /// done, the results that were kept.
    ///
    /// # Errors
    /// The AWS error; some of it may be marked.
    pub async fn expire_parts(&self, workflow: &Workflow, at_ms: i64) -> Result<()> {
        let ttl_s = self.workflow_ttl_s(at_ms, workflow.parent.is_some());
        let mut results = workflow.results.clone();
        let shards = (0..workflow.shards).map(|shard| keys::workflow_shard(&workflow.id, shard));
        let definition = [keys::workflow_definition(&workflow.id)]
            .into_iter()
            .chain(workflow.cuts.iter().map(|first| keys::workflow_definition_part(&workflow.id, *first)));
        let shards = shards.map(|key| self.expire(key, ttl_s, ReturnValue::AllNew));
        let parts: Vec<_> = shards.chain(definition.map(|key| self.expire(key, ttl_s, ReturnValue::None))).collect();
        let mut marked = stream::iter(parts).buffer_unordered(CONCURRENCY);
        while let Some(more) = marked.try_next().await? {
            results.extend(more);
        }
        if workflow.results_expire || results.is_empty() {
            return Ok(());
        }
        results.sort_unstable();
        results.dedup();
        let each = results.iter().map(|step| keys::workflow_result(&workflow.id, workflow.shards, *step));
        let each: Vec<_> = each.map(|key| self.expire(key, ttl_s, ReturnValue::None)).collect();
        stream::iter(each).buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>().await?;
        self.note_results_expire(&workflow.id).await
    }

    /// The same for the result of a job that completed after its group or batch had ended; `ttl_s`: of the shard, if it is there.
    ///
    /// # Errors
    /// The AWS error; it may be marked.
    pub async fn expire_late_result(&self, member: &MemberOf, ttl_s: Option<i64>, now_ms: i64) -> Result<()> {
        let ttl_s = ttl_s.unwrap_or_else(|| self.workflow_ttl_s(now_ms, false));
        self.expire(result_key(member), ttl_s, ReturnValue::None).await.map(|_| ())
    }

    /// Marks one item, if it is there. Answers the steps whose results are kept, if it is a shard and `answer` asks for it.
    async fn expire(&self, key: keys::Key, ttl_s: i64, answer: ReturnValue) -> Result<Vec<usize>> {
        let marked =
            UpdateItem::of(key).when(item_exists()).set(part::TTL, ttl_s).returning(answer).update(self).await?;
        Ok(match marked {
            Written::Done(item) => item.map_or_else(Vec::new, |item| shard_of(&item).results),
            Written::Refused(_) => Vec::new(),
        })
    }
}

/// Where the result of a member is kept.
pub(in crate::store) fn result_key(member: &MemberOf) -> keys::Key {
    let shards = match member.role {
        MemberRole::Step { shards } => shards,
        MemberRole::Callback | MemberRole::AwaitedCallback => 0,
    };
    keys::workflow_result(&member.workflow, shards, member.index)
}
