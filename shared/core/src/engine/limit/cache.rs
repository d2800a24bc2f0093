//! What a process remembers of rate limits: the states it read or wrote last, to save reads, and refusals, to save writes
//! that would be refused as well. All of it may be forgotten at any time.

use std::sync::{Arc, Mutex, PoisonError};

use crate::bounded::Bounded;
use ojs_model::limit::{LimitState, Limited};

/// How long at most it is believed that a key lets no job start, ms: so long may an operator's change take.
const REFUSED_MS: i64 = 1_000;
/// How long it is believed that all slots are taken, ms: another instance's job may end at any time.
const FULL_MS: i64 = 200;

#[derive(Debug, Default)]
pub(in crate::engine) struct LimitCache {
    keys: Mutex<Bounded<String, Arc<Limiter>>>,
    /// Keys under which jobs are parked, as far as has been seen.
    parked: Mutex<Bounded<String, ()>>,
}

/// What is remembered of one key.
#[derive(Debug, Default)]
pub(in crate::engine) struct Limiter {
    /// The state, if it has been seen. One user at a time: others of this process would only have their writes refused.
    pub(in crate::engine) state: tokio::sync::Mutex<Option<LimitState>>,
    /// Until when no job can start, ms since the Unix epoch, and why.
    refusal: Mutex<Option<(i64, Limited)>>,
}

impl LimitCache {
    pub(in crate::engine) fn of(&self, key: &str) -> Arc<Limiter> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limiter) = keys.get(key) {
            return Arc::clone(limiter);
        }
        let limiter = Arc::<Limiter>::default();
        keys.insert(key.to_owned(), Arc::clone(&limiter));
        limiter
    }

    /// Whether a key is known to let no job start now.
    pub(in crate::engine) fn refusal(&self, key: &str, now_ms: i64) -> Option<Limited> {
        let limiter = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()?;
        limiter.refusal(now_ms)
    }

    /// Whether jobs are parked under a key, as far as is known.
    pub(in crate::engine) fn has_parked(&self, key: &str) -> bool {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// Notes what a state says of parked jobs.
    pub(in crate::engine) fn note_parked(&self, key: &str, state: Option<&LimitState>) {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_none_or(|state| state.parking.is_none()) {
            parked.remove(key);
        } else if !parked.contains_key(key) {
            parked.insert(key.to_owned(), ());
        }
    }

    pub(in crate::engine) fn clear(&self) {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Limiter {
    pub(in crate::engine) fn refusal(&self, now_ms: i64) -> Option<Limited> {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.as_ref().filter(|(until, _)| now_ms < *until).map(|(_, limited)| limited.clone())
    }

    pub(in crate::engine) fn note_refusal(&self, limited: &Limited, now_ms: i64) {
        let until = match limited {
            Limited::Until(at) => (*at).min(now_ms + REFUSED_MS),
            Limited::Closed { .. } => now_ms + REFUSED_MS,
            Limited::Full { .. } => now_ms + FULL_MS,
        };
        let limited = match limited {
            Limited::Full { .. } => Limited::Full { stale: Vec::new() },
            other => other.clone(),
        };
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some((until, limited));
    }

    pub(in crate::engine) fn forget_refusal(&self) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::MAX_ENTRIES;

    #[test]
    fn refusals_are_believed_for_a_moment() {
        let limiters = LimitCache::default();
        assert_eq!(limiters.refusal("k", 0), None);
        let limiter = limiters.of("k");
        limiter.note_refusal(&Limited::Until(300), 0);
        assert_eq!(limiters.refusal("k", 299), Some(Limited::Until(300)));
        assert_eq!(limiters.refusal("k", 300), None);
        limiter.note_refusal(&Limited::Until(86_400_000), 0);
        assert_eq!(limiters.refusal("k", REFUSED_MS), None);
        limiter.note_refusal(&Limited::Full { stale: vec!["x".into()] }, 0);
        assert_eq!(limiters.refusal("k", FULL_MS - 1), Some(Limited::Full { stale: vec![] }));
        limiter.forget_refusal();
        assert_eq!(limiters.refusal("k", 0), None);
    }

    #[test]
    fn memory_is_bounded() {
        let limiters = LimitCache::default();
        for i in 0..=MAX_ENTRIES {
            limiters.of(&i.to_string());
        }
        assert!(limiters.keys.lock().unwrap_or_else(PoisonError::into_inner).len() <= MAX_ENTRIES);
    }
}
