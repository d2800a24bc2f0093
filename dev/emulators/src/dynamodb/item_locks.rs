//! Locks of items: writes to different items do not wait for each other.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

use super::replica::Written;

/// How many locks items share.
const LOCKS: usize = 1_024;

/// A fixed number of locks. Each item has one by its key.
#[derive(Debug)]
pub(super) struct ItemLocks(Vec<Mutex<()>>);

impl Default for ItemLocks {
    fn default() -> Self {
        Self((0..LOCKS).map(|_| Mutex::new(())).collect())
    }
}

impl ItemLocks {
    /// Locks all items of a write, in one order for all writes.
    pub(super) async fn lock(&self, written: &[Written]) -> Vec<MutexGuard<'_, ()>> {
        let mut held = Vec::new();
        for index in indexes(written) {
            if let Some(lock) = self.0.get(index) {
                held.push(lock.lock().await);
            }
        }
        held
    }
}

fn indexes(written: &[Written]) -> BTreeSet<usize> {
    let index = |write: &Written| {
        let mut key: Vec<_> = write.key.iter().map(|(name, value)| (name, format!("{value:?}"))).collect();
        key.sort();
        let mut hasher = DefaultHasher::new();
        (&write.table, key).hash(&mut hasher);
        usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default()
    };
    written.iter().map(index).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use dynoxide::AttributeValue;

    use super::*;

    fn write(pk: &str, sk: &str) -> Written {
        let attribute = |name: &str, text: &str| (name.to_owned(), AttributeValue::S(text.to_owned()));
        Written { table: "t".to_owned(), key: HashMap::from([attribute("pk", pk), attribute("sk", sk)]) }
    }

    #[test]
    fn an_item_has_one_lock_and_others_mostly_another() {
        assert_eq!(indexes(&[write("a", "b"), write("a", "b")]).len(), 1);
        let different: Vec<_> = (0..10).map(|n| write("a", &n.to_string())).collect();
        assert!(indexes(&different).len() > 5);
    }

    #[tokio::test]
    async fn writes_of_the_same_items_in_another_order_do_not_block_each_other_for_ever() {
        let locks = ItemLocks::default();
        let (ab, ba) = ([write("a", ""), write("b", "")], [write("b", ""), write("a", "")]);
        for _ in 0..100 {
            let (one, other) =
                tokio::join!(async { locks.lock(&ab).await.len() }, async { locks.lock(&ba).await.len() });
            assert_eq!(one, other);
        }
    }
}
