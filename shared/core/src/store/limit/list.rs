//! Rate limits by key, in pages.

use std::collections::HashMap;

use futures::FutureExt;
use futures::future::try_join_all;

use super::item::state_of;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{b, s, take_s};
use crate::store::{Store, keys, table};
use ojs_model::error::Result;
use ojs_model::limit::LimitState;

impl Store {
    /// The next states by key after `after`, at most `limit`, and the key after which the next page starts, if there may be
    /// one: one query per shard of the listing index, then one read per 100 states, which are strongly consistent. A key
    /// whose first start was a moment ago may be missing.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_limits(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, LimitState)>, Option<String>)> {
        let shards = (0..keys::LIMIT_LIST_SHARDS).map(|shard| self.limit_keys(shard, after, limit));
        let (names, more) = merge(try_join_all(shards).await?, limit);
        let next = if more { names.last().cloned() } else { None };
        let mut states = HashMap::with_capacity(names.len());
        for mut item in self.batch_get(names.iter().map(|name| keys::limit(name)).collect()).await? {
            // One that cannot be read must not hide the others (I7).
            if let (Ok(state), Some(pk)) = (state_of(&item), take_s(&mut item, "pk")) {
                states.insert(pk, state);
            }
        }
        let found = names.into_iter().filter_map(|name| {
            let state = states.remove(&keys::limit_pk(&name))?;
            Some((name, state))
        });
        Ok((found.collect(), next))
    }

    /// The keys of one shard, and where the answer ended if there may be more.
    async fn limit_keys(&self, shard: u32, after: Option<&str>, limit: usize) -> Result<(Vec<String>, Option<String>)> {
        let mut query = self.client.query().table_name(&self.table).index_name(table::LISTING_INDEX);
        query = match after {
            Some(name) => query
                .key_condition_expression("lp = :partition AND lo > :after")
                .expression_attribute_values(":after", b(name)),
            None => query.key_condition_expression("lp = :partition"),
        };
        let answer = query
            .expression_attribute_values(":partition", s(keys::limits(shard)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
        let name = |mut key: keys::Key| keys::limit_of_pk(&take_s(&mut key, "pk")?).map(str::to_owned);
        let end = answer.last_evaluated_key.and_then(name);
        Ok((answer.items.unwrap_or_default().into_iter().filter_map(name).collect(), end))
    }
}

/// The first `limit` keys of all shards in their order, and whether there may be more. Beyond the place where a shard's
/// answer ended, keys may be missing.
fn merge(shards: Vec<(Vec<String>, Option<String>)>, limit: usize) -> (Vec<String>, bool) {
    let (mut names, mut ends) = (Vec::new(), Vec::new());
    for (some, end) in shards {
        names.extend(some);
        ends.extend(end);
    }
    names.sort_unstable();
    if let Some(end) = ends.iter().min() {
        names.retain(|name| name <= end);
    }
    let more = !ends.is_empty() || names.len() > limit;
    names.truncate(limit);
    (names, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_where_a_shard_may_hide_keys() {
        let shard = |names: &[&str], end: Option<&str>| {
            (names.iter().map(ToString::to_string).collect::<Vec<_>>(), end.map(str::to_owned))
        };
        for (shards, limit, wanted, more) in [
            (vec![shard(&["b"], None), shard(&["a"], None)], 2, &["a", "b"][..], false),
            (vec![shard(&["b", "d"], None), shard(&["a"], None)], 2, &["a", "b"], true),
            (vec![shard(&["a", "b"], Some("b")), shard(&["c"], None)], 3, &["a", "b"], true),
            (vec![shard(&["a"], Some("a")), shard(&["b"], Some("b"))], 1, &["a"], true),
            (vec![], 1, &[], false),
        ] {
            assert_eq!(merge(shards, limit), (wanted.iter().map(ToString::to_string).collect(), more));
        }
    }
}
