use futures::FutureExt;
use futures::future::try_join_all;

use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{s, take_b, take_s};
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
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(table::LISTING_INDEX)
            .key_condition_expression("lp = :partition")
            .expression_attribute_values(":partition", s(keys::listing(queue, shard)))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
        let ids = answer.items.unwrap_or_default().into_iter();
        Ok(ids
            .filter_map(|mut item| Some((take_b(&mut item, "lo")?, keys::job_of_pk(&take_s(&mut item, "pk")?)?)))
            .collect())
    }
}
