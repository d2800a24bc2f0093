//! Rate limits by key, in pages.

use std::collections::HashMap;

use futures::future::try_join_all;

use super::attributes as limit;
use super::item::state_of;
use crate::store::dynamo::attributes::{PK, b, take_s};
use crate::store::dynamo::query::Query;
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
            if let (Ok(state), Some(pk)) = (state_of(&item), take_s(&mut item, PK)) {
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
    async fn limit_keys(&self, shard: u32, after: Option<&str>, most: usize) -> Result<(Vec<String>, Option<String>)> {
        let partition = limit::LISTING_PARTITION.is(keys::limits(shard));
        let names = partition.and_some(after.map(|name| limit::LISTING_SORT.above(b(name))));
        let page = Query::of(names, most).in_index(table::LISTING_INDEX, self).await?;
        let name = |mut key: keys::Key| keys::limit_of_pk(&take_s(&mut key, PK)?).map(str::to_owned);
        let end = page.next.and_then(name);
        Ok((page.items.into_iter().filter_map(name).collect(), end))
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
