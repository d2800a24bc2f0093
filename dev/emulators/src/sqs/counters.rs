//! What was called, how often, and how many bytes went each way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::http::action::Action;

/// Counts of one action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActionCounters {
    /// Requests, failed ones and faults included.
    pub calls: u64,
    /// Requests that were answered with an error (or whose answer was lost by a fault).
    pub errors: u64,
    /// Bytes of request bodies.
    pub request_bytes: u64,
    /// Bytes of answer bodies.
    pub answer_bytes: u64,
}

/// A snapshot of all counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// By action name (`SendMessage`, …); actions never called are left out.
    pub actions: BTreeMap<&'static str, ActionCounters>,
    /// Messages taken in (entries of batches count each).
    pub messages_sent: u64,
    /// Messages delivered.
    pub messages_received: u64,
    /// Messages deleted by request (handles that were accepted).
    pub messages_deleted: u64,
    /// Receives that were answered without a message.
    pub empty_receives: u64,
}

impl Counters {
    /// The counts of one action; zeroes when it was never called.
    #[must_use]
    pub fn action(&self, name: &str) -> ActionCounters {
        self.actions.get(name).copied().unwrap_or_default()
    }

    /// Requests of all actions.
    #[must_use]
    pub fn total_calls(&self) -> u64 {
        self.actions.values().map(|action| action.calls).sum()
    }
}

/// The live counts.
#[derive(Debug, Default)]
pub(crate) struct LiveCounters {
    actions: [LiveAction; Action::ALL.len()],
    pub(crate) messages_sent: AtomicU64,
    pub(crate) messages_received: AtomicU64,
    pub(crate) messages_deleted: AtomicU64,
    pub(crate) empty_receives: AtomicU64,
}

#[derive(Debug, Default)]
struct LiveAction {
    calls: AtomicU64,
    errors: AtomicU64,
    request_bytes: AtomicU64,
    answer_bytes: AtomicU64,
}

/// Adds to a live count.
pub(crate) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl LiveCounters {
    /// Counts a request, before it is worked on.
    pub(crate) fn start(&self, action: Action, request_bytes: usize) {
        let counters = &self.actions[action as usize];
        add(&counters.calls, 1);
        add(&counters.request_bytes, request_bytes);
    }

    /// Counts its answer.
    pub(crate) fn finish(&self, action: Action, answer_bytes: usize, error: bool) {
        let counters = &self.actions[action as usize];
        add(&counters.answer_bytes, answer_bytes);
        add(&counters.errors, usize::from(error));
    }

    pub(crate) fn snapshot(&self) -> Counters {
        let action = |action: &Action| {
            let live = &self.actions[*action as usize];
            let counts = ActionCounters {
                calls: get(&live.calls),
                errors: get(&live.errors),
                request_bytes: get(&live.request_bytes),
                answer_bytes: get(&live.answer_bytes),
            };
            (counts.calls > 0).then_some((action.name(), counts))
        };
        Counters {
            actions: Action::ALL.iter().filter_map(action).collect(),
            messages_sent: get(&self.messages_sent),
            messages_received: get(&self.messages_received),
            messages_deleted: get(&self.messages_deleted),
            empty_receives: get(&self.empty_receives),
        }
    }
}
