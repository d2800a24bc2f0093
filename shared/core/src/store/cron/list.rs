use futures::future::try_join_all;

use super::item::cron_of;
use crate::store::dynamo::attributes::{PK, SK, take_s};
use crate::store::dynamo::query::Query;
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
        let partition = PK.is(keys::cron_pk(shard));
        let names = partition.and_some(after.map(|name| SK.above(name)));
        let page = Query::of(names, limit).consistent(consistent).in_table(self).await?;
        let end = page.next.and_then(|mut key| take_s(&mut key, SK));
        // What is wrong with an item is in the log; it must not hide the others (I7).
        let crons = page.items.into_iter().filter_map(|item| cron_of(item).ok()).collect();
        Ok((crons, end))
    }
}
