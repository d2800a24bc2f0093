use futures::FutureExt;
use futures::future::try_join_all;

use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{s, take_s};
use crate::store::{Store, keys, table};
use ojs_model::error::Result;
use ojs_model::ids::JobId;

/// A place in the list of dead letters, newest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterPosition {
    /// When the job was discarded, ms since the Unix epoch.
    pub discarded_at: i64,
    /// The job.
    pub id: JobId,
}

impl Store {
    /// The next `limit` dead letters after `after`, newest first, of one queue or of all: one query per shard.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_dead(
        &self,
        queue: Option<&str>,
        after: Option<&DeadLetterPosition>,
        limit: usize,
    ) -> Result<Vec<DeadLetterPosition>> {
        let shards = (0..self.shards).map(|shard| self.list_dead_shard(queue, shard, after, limit));
        let mut all: Vec<_> = try_join_all(shards).await?.into_iter().flatten().collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.truncate(limit);
        Ok(all)
    }

    async fn list_dead_shard(
        &self,
        queue: Option<&str>,
        shard: u32,
        after: Option<&DeadLetterPosition>,
        limit: usize,
    ) -> Result<Vec<DeadLetterPosition>> {
        let (index, attribute, partition) = match queue {
            Some(queue) => (table::DEAD_IN_QUEUE_INDEX, "dlq", keys::dead_in(queue, shard)),
            None => (table::DEAD_INDEX, "dlp", keys::dead(shard)),
        };
        let mut condition = format!("{attribute} = :partition");
        let mut query = self.client.query().table_name(&self.table).index_name(index);
        if let Some(position) = after {
            condition.push_str(" AND dls < :after");
            let sort = keys::dead_sort(position.discarded_at, &position.id);
            query = query.expression_attribute_values(":after", s(sort));
        }
        let answer = query
            .key_condition_expression(condition)
            .expression_attribute_values(":partition", s(&partition))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
        let positions = answer.items.unwrap_or_default().into_iter().filter_map(|mut item| {
            let (discarded_at, id) = keys::of_dead_sort(&take_s(&mut item, "dls")?)?;
            Some(DeadLetterPosition { discarded_at, id })
        });
        Ok(positions.collect())
    }
}
