//! The counts of a queue some time ago, for the lagging-counts fault.

use std::collections::VecDeque;

use crate::sqs::message::store::QueueDepth;

/// The counts over the last while. Empty, and free, while the fault is off.
#[derive(Debug, Default)]
pub(crate) struct CountHistory {
    /// Since when (ms) which counts, oldest first.
    since: VecDeque<(i64, QueueDepth)>,
}

impl CountHistory {
    pub(crate) fn clear(&mut self) {
        self.since.clear();
    }

    /// The counts before the first change that is seen stand for all time before.
    pub(crate) fn start(&mut self, depth: QueueDepth) {
        if self.since.is_empty() {
            self.since.push_back((i64::MIN, depth));
        }
    }

    pub(crate) fn record(&mut self, now_ms: i64, lag_ms: i64, depth: QueueDepth) {
        if self.since.back().is_none_or(|(_, last)| *last != depth) {
            self.since.push_back((now_ms, depth));
        }
        let seen_ms = now_ms.saturating_sub(lag_ms);
        while self.since.get(1).is_some_and(|(at_ms, _)| *at_ms <= seen_ms) {
            self.since.pop_front();
        }
    }

    /// The counts `lag_ms` ago, as of the last [`Self::record`].
    pub(crate) fn lagging(&self) -> Option<QueueDepth> {
        self.since.front().map(|(_, depth)| *depth)
    }
}
