use futures::future::try_join_all;

use super::attr::s;
use super::cron_item::cron_of;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use crate::cron::Cron;
use crate::error::Result;

impl Store {
    /// The next `limit` cron jobs by name after `after`, strongly consistent: one query per shard.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_crons(&self, after: Option<&str>, limit: usize) -> Result<Vec<Cron>> {
        let shards = (0..keys::CRON_SHARDS).map(|shard| self.list_cron_shard(shard, after, limit));
        let mut all: Vec<_> = try_join_all(shards).await?.into_iter().flatten().collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all.truncate(limit);
        Ok(all)
    }

    async fn list_cron_shard(&self, shard: u32, after: Option<&str>, limit: usize) -> Result<Vec<Cron>> {
        let mut crons = Vec::new();
        let mut start = None;
        // One answer holds 1 MB, which large templates can fill before the page is full.
        while crons.len() < limit {
            let mut query = self.client.query().table_name(&self.table).consistent_read(true);
            query = match after {
                Some(name) => query
                    .key_condition_expression("pk = :pk AND sk > :after")
                    .expression_attribute_values(":after", s(name)),
                None => query.key_condition_expression("pk = :pk"),
            };
            let answer = query
                .expression_attribute_values(":pk", s(keys::cron_pk(shard)))
                .set_exclusive_start_key(start)
                .limit(i32::try_from(limit - crons.len()).unwrap_or(i32::MAX))
                .send()
                .await
                .map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
            for item in answer.items.unwrap_or_default() {
                crons.push(cron_of(item)?);
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(crons)
    }
}
