use futures::future::try_join_all;

use crate::store::dynamo::attributes::{PK, take_b, take_s};
use crate::store::dynamo::query::Query;
use crate::store::job::attributes as job;
use crate::store::{Store, keys, table};
use ojs_model::error::Result;
use ojs_model::ids::JobId;

impl Store {
    /// The `limit` newest jobs of a queue by the server's time, newest first: one query per shard of the listing index.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn newest_jobs(&self, queue: &str, limit: usize) -> Result<Vec<JobId>> {
        let shards = (0..self.shards).map(|shard| self.newest_in_shard(queue, shard, limit));
        let mut ids: Vec<_> = try_join_all(shards).await?.into_iter().flatten().collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(limit);
        Ok(ids.into_iter().map(|(_, id)| id).collect())
    }

    async fn newest_in_shard(&self, queue: &str, shard: u32, limit: usize) -> Result<Vec<(Vec<u8>, JobId)>> {
        let in_queue = job::LISTING_PARTITION.is(keys::listing(queue, shard));
        let page = Query::of(in_queue, limit).newest_first().in_index(table::LISTING_INDEX, self).await?;
        let ids = page.items.into_iter();
        let id = |mut item| Some((take_b(&mut item, job::LISTING_SORT)?, keys::job_of_pk(&take_s(&mut item, PK)?)?));
        Ok(ids.filter_map(id).collect())
    }
}
