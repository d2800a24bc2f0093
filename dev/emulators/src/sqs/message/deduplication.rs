//! The memory of a FIFO queue for the deduplication ids of the last five minutes.

use std::collections::{HashMap, VecDeque};

use super::store::SendReceipt;

/// How long a deduplication id is remembered, even after its message was deleted.
const MEMORY_MS: i64 = 5 * 60 * 1_000;

/// What a duplicate is recognised by: the message group (when the scope is the group) and the id.
pub(crate) type DeduplicationKey = (Option<String>, String);

/// Deduplication ids and what their first message was answered with.
#[derive(Debug, Default)]
pub(crate) struct Deduplication {
    known: HashMap<DeduplicationKey, SendReceipt>,
    /// By the time they are forgotten; the memory has one length, so the order is that of sending.
    forget: VecDeque<(i64, DeduplicationKey)>,
}

impl Deduplication {
    /// The answer to the first message with this key, when it is remembered.
    pub(crate) fn find(&mut self, now_ms: i64, key: &DeduplicationKey) -> Option<SendReceipt> {
        while let Some((_, old)) = self.forget.pop_front_if(|(at_ms, _)| *at_ms <= now_ms) {
            self.known.remove(&old);
        }
        self.known.get(key).cloned()
    }

    pub(crate) fn remember(&mut self, now_ms: i64, key: DeduplicationKey, receipt: SendReceipt) {
        self.forget.push_back((now_ms.saturating_add(MEMORY_MS), key.clone()));
        self.known.insert(key, receipt);
    }
}
