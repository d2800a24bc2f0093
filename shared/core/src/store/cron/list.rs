use futures::FutureExt;
use futures::future::try_join_all;

use super::item::cron_of;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::s;
use crate::store::{Store, keys};
use ojs_model::cron::Cron;
use ojs_model::error::Result;

/// What a list of cron jobs has read.
#[derive(Debug, Clone)]
pub struct CronList {
    /// By name, without those that a version wrote that this one does not understand.
    pub crons: Vec<Cron>,
    /// Whether there may be more after them.
    pub more: bool,
}

impl Store {
    /// The next cron jobs by name after `after`, at most `limit`, strongly consistent if it matters: one query of 1 MB at
    /// most per shard, so that large templates make short lists and not dear ones.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_crons(&self, after: Option<&str>, limit: usize, consistent: bool) -> Result<CronList> {
        let shards = (0..keys::CRON_SHARDS).map(|shard| self.list_cron_shard(shard, after, limit, consistent));
        let (mut crons, mut ends) = (Vec::new(), Vec::new());
        for (found, end) in try_join_all(shards).await? {
            crons.extend(found);
            ends.extend(end);
        }
        crons.sort_by(|a, b| a.name().cmp(b.name()));
        // Beyond the place where a shard's answer ended, something may be missing.
        if let Some(end) = ends.iter().min() {
            crons.retain(|cron| cron.name() <= end.as_str());
        }
        let more = !ends.is_empty() || crons.len() > limit;
        crons.truncate(limit);
        Ok(CronList { crons, more })
    }

    /// One shard's, and the name at which the answer ended before the shard did.
    async fn list_cron_shard(
        &self,
        shard: u32,
        after: Option<&str>,
        limit: usize,
        consistent: bool,
    ) -> Result<(Vec<Cron>, Option<String>)> {
        let mut query = self.client.query().table_name(&self.table).consistent_read(consistent);
        query = match after {
            Some(name) => query
                .key_condition_expression("pk = :pk AND sk > :after")
                .expression_attribute_values(":after", s(name)),
            None => query.key_condition_expression("pk = :pk"),
        };
        let answer = query
            .expression_attribute_values(":pk", s(keys::cron_pk(shard)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
        let end =
            answer.last_evaluated_key.and_then(|mut key| crate::store::dynamo::attributes::take_s(&mut key, "sk"));
        // What is wrong with an item is in the log; it must not hide the others (I7).
        let crons = answer.items.unwrap_or_default().into_iter().filter_map(|item| cron_of(item).ok()).collect();
        Ok((crons, end))
    }
}
