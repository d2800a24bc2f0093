use futures::future::try_join_all;

use crate::store::dynamo::attributes::take_s;
use crate::store::dynamo::query::Query;
use crate::store::job::attributes as job;
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
            Some(queue) => (table::DEAD_IN_QUEUE_INDEX, job::DEAD_IN_QUEUE_PARTITION, keys::dead_in(queue, shard)),
            None => (table::DEAD_INDEX, job::DEAD_PARTITION, keys::dead(shard)),
        };
        let older = after.map(|place| job::DEAD_SORT.below(keys::dead_sort(place.discarded_at, &place.id)));
        let dead = attribute.is(partition).and_some(older);
        let page = Query::of(dead, limit).newest_first().in_index(index, self).await?;
        let positions = page.items.into_iter().filter_map(|mut item| {
            let (discarded_at, id) = keys::of_dead_sort(&take_s(&mut item, job::DEAD_SORT)?)?;
            Some(DeadLetterPosition { discarded_at, id })
        });
        Ok(positions.collect())
    }
}
