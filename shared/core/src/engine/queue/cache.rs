//! What a process remembers of queues, to save calls. All of it may be forgotten at any time.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::bounded::Bounded;
use crate::transport::SqsQueue;
use ojs_model::queue::QueueState;

/// How long a queue's state is believed, ms: so long may a pause take until every instance keeps to it.
pub(in crate::engine) const STATE_MS: i64 = 1_000;
/// How long a tier that was empty is passed over while other tiers of its queue are asked, ms.
const EMPTY_MS: i64 = 200;

#[derive(Debug, Default)]
pub(in crate::engine) struct QueueCache {
    registered: RwLock<Bounded<String, ()>>,
    /// Which tier the jobs of a queue and priority belong to; once decided, it stays so.
    tiers: RwLock<Bounded<(String, i64), i64>>,
    /// Each with when it was read, ms.
    states: RwLock<Bounded<String, (i64, Arc<QueueState>)>>,
    /// Tiers that were found empty, and when, ms.
    empty: RwLock<Bounded<SqsQueue, i64>>,
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl QueueCache {
    pub(in crate::engine) fn clear(&self) {
        write(&self.registered).clear();
        write(&self.tiers).clear();
        write(&self.states).clear();
        write(&self.empty).clear();
    }

    /// Whether the queue is in the registry.
    pub(in crate::engine) fn is_registered(&self, queue: &str) -> bool {
        read(&self.registered).contains_key(queue)
    }

    pub(in crate::engine) fn note_registered(&self, queue: &str) {
        write(&self.registered).insert(queue.to_owned(), ());
    }

    /// The tier of a queue's jobs of one priority, if it has been decided.
    pub(in crate::engine) fn tier(&self, queue: &str, priority: i64) -> Option<i64> {
        read(&self.tiers).get(&(queue.to_owned(), priority)).copied()
    }

    pub(in crate::engine) fn note_tier(&self, queue: &str, priority: i64, tier: i64) {
        write(&self.tiers).insert((queue.to_owned(), priority), tier);
    }

    /// A queue's state, if it was read less than [`STATE_MS`] ago.
    pub(in crate::engine) fn state(&self, queue: &str, now_ms: i64) -> Option<Arc<QueueState>> {
        let states = read(&self.states);
        let (read_at, state) = states.get(queue)?;
        (0..STATE_MS).contains(&(now_ms - read_at)).then(|| Arc::clone(state))
    }

    pub(in crate::engine) fn note_state(&self, queue: &str, state: Arc<QueueState>, read_at_ms: i64) {
        write(&self.states).insert(queue.to_owned(), (read_at_ms, state));
    }

    pub(in crate::engine) fn note_empty(&self, sqs_queue: &SqsQueue, now_ms: i64) {
        write(&self.empty).insert(sqs_queue.clone(), now_ms);
    }

    /// Something was sent there.
    pub(in crate::engine) fn note_sent(&self, sqs_queue: &SqsQueue) {
        // Nearly always nothing is known, and the lock is shared.
        if read(&self.empty).contains_key(sqs_queue) {
            write(&self.empty).remove(sqs_queue);
        }
    }

    /// Which SQS queues of an OJS queue to ask, in order: its tiers, the highest first, less those that were empty a moment
    /// ago; but always one, in turn.
    pub(in crate::engine) fn sqs_queues(&self, queue: &str, state: &QueueState, now_ms: i64) -> Vec<SqsQueue> {
        let all: Vec<SqsQueue> = state.tiers_down().into_iter().map(|tier| SqsQueue::tier(queue, tier)).collect();
        if all.len() == 1 {
            return all;
        }
        let empty = read(&self.empty);
        let was_empty =
            |sqs_queue: &SqsQueue| empty.get(sqs_queue).copied().filter(|at| (0..EMPTY_MS).contains(&(now_ms - at)));
        let asked: Vec<SqsQueue> = all.iter().filter(|sqs_queue| was_empty(sqs_queue).is_none()).cloned().collect();
        if !asked.is_empty() {
            return asked;
        }
        all.into_iter().min_by_key(|sqs_queue| was_empty(sqs_queue)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_that_was_empty_is_passed_over_for_a_moment() {
        let known = QueueCache::default();
        let state = QueueState { tiers: vec![10, -5], ..QueueState::default() };
        let tiers = |now| -> Vec<SqsQueue> { known.sqs_queues("q", &state, now) };
        let sqs_queues =
            |tiers: &[i64]| -> Vec<SqsQueue> { tiers.iter().map(|tier| SqsQueue::tier("q", *tier)).collect() };
        assert_eq!(tiers(0), sqs_queues(&[10, 0, -5]));
        known.note_empty(&SqsQueue::tier("q", 10), 0);
        assert_eq!(tiers(EMPTY_MS - 1), sqs_queues(&[0, -5]));
        assert_eq!(tiers(EMPTY_MS), sqs_queues(&[10, 0, -5]));
        known.note_sent(&SqsQueue::tier("q", 10));
        assert_eq!(tiers(1), sqs_queues(&[10, 0, -5]));
        // Where all were empty, one is asked at a time.
        for (at, tier) in [(10, 0), (11, -5), (12, 10)] {
            known.note_empty(&SqsQueue::tier("q", tier), at);
        }
        assert_eq!(tiers(13), sqs_queues(&[0]));
        known.note_empty(&SqsQueue::jobs("q"), 13);
        assert_eq!(tiers(14), sqs_queues(&[-5]));
    }

    #[test]
    fn made_up_names_do_not_fill_the_memory() {
        use crate::bounded::MAX_ENTRIES;
        let known = QueueCache::default();
        for name in 0..=MAX_ENTRIES {
            let queue = name.to_string();
            known.note_registered(&queue);
            known.note_tier(&queue, 1, 1);
            known.note_state(&queue, Arc::default(), 0);
            known.note_empty(&SqsQueue::jobs(&queue), 0);
        }
        let entries = [
            read(&known.registered).len(),
            read(&known.tiers).len(),
            read(&known.states).len(),
            read(&known.empty).len(),
        ];
        assert!(entries.iter().all(|entries| *entries <= MAX_ENTRIES), "{entries:?}");
    }

    #[test]
    fn a_state_is_believed_for_a_second() {
        let known = QueueCache::default();
        known.note_state("q", Arc::default(), 5_000);
        assert!(known.state("q", 5_000 + STATE_MS - 1).is_some());
        assert!(known.state("q", 5_000 + STATE_MS).is_none() && known.state("q", 4_999).is_none());
    }
}
