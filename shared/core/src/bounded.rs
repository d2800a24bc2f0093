//! Maps for what a process remembers under keys that clients choose: bounded, so that made-up keys cannot fill the memory.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Most entries that one map holds. One that is dropped costs a call to learn again.
pub(crate) const MAX_ENTRIES: usize = 10_000;

/// A map of at most [`MAX_ENTRIES`] entries, in two generations: when the newer one is full, the older one is dropped.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self { newer: HashMap::new(), older: HashMap::new() }
    }
}

impl<K: Eq + Hash, V> Bounded<K, V> {
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    pub(crate) fn contains_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.newer.len() >= MAX_ENTRIES / 2 && !self.newer.contains_key(&key) {
            self.older = std::mem::take(&mut self.newer);
        }
        self.older.remove(&key);
        self.newer.insert(key, value);
    }

    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.newer.remove(key);
        self.older.remove(key);
    }

    pub(crate) fn clear(&mut self) {
        self.newer.clear();
        self.older.clear();
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_keys_do_not_fill_the_memory() {
        let mut map = Bounded::default();
        for key in 0..10 * MAX_ENTRIES {
            map.insert(key, key);
            assert!(map.len() <= MAX_ENTRIES);
        }
        // The newest half is kept whatever came before it.
        let first = 10 * MAX_ENTRIES - MAX_ENTRIES / 2;
        assert!((first..10 * MAX_ENTRIES).all(|key| map.get(&key) == Some(&key)));
        assert_eq!(map.get(&0), None);
    }

    #[test]
    fn an_entry_has_one_value() {
        let mut map = Bounded::default();
        map.insert(0, "old");
        for key in 1..=MAX_ENTRIES / 2 {
            map.insert(key, "other");
        }
        map.insert(0, "new");
        assert_eq!((map.get(&0), map.len()), (Some(&"new"), MAX_ENTRIES / 2 + 1));
        map.remove(&0);
        assert!(!map.contains_key(&0));
        map.clear();
        assert_eq!(map.len(), 0);
    }
}
