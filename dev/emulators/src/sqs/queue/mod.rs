//! One queue: its settings, its messages behind a lock of their own, and those who wait for them.

pub(crate) mod count_history;
pub(crate) mod move_task;
pub(crate) mod names;
pub(crate) mod redrive;
pub(crate) mod settings;
pub(crate) mod tags;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::Notify;

use super::faults::FaultControl;
use super::http::errors::{ErrorKind, SqsError};
use super::message::store::{MessageStore, QueueDepth};
use count_history::CountHistory;
use settings::Settings;

/// A second purge within this time (ms) is refused.
const PURGE_INTERVAL_MS: i64 = 60_000;

/// What is fixed when a queue is created.
#[derive(Debug)]
pub(crate) struct QueueIdentity {
    /// A queue that is created again gets a new number.
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) arn: Arc<str>,
    pub(crate) url: String,
    pub(crate) created_ms: i64,
    /// Until then (ms) the queue answers as if it did not exist.
    pub(crate) usable_ms: i64,
}

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) identity: QueueIdentity,
    settings: RwLock<(Arc<Settings>, i64)>,
    tags: Mutex<BTreeMap<String, String>>,
    messages: Mutex<Messages>,
    purged_ms: Mutex<Option<i64>>,
    faults: Arc<FaultControl>,
    /// Wakes long polls, one at a time: each one that leaves wakes the next.
    arrival: Notify,
    waiting: AtomicUsize,
    gone: AtomicBool,
}

#[derive(Debug)]
struct Messages {
    store: MessageStore,
    history: CountHistory,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    pub(crate) fn new(identity: QueueIdentity, settings: Settings, faults: Arc<FaultControl>) -> Self {
        let store = MessageStore::new(identity.number, settings.fifo);
        Self {
            settings: RwLock::new((Arc::new(settings), identity.created_ms)),
            identity,
            tags: Mutex::default(),
            messages: Mutex::new(Messages { store, history: CountHistory::default() }),
            purged_ms: Mutex::default(),
            faults,
            arrival: Notify::new(),
            waiting: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// When (ms) the settings last changed.
    pub(crate) fn modified_ms(&self) -> i64 {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).1
    }

    pub(crate) fn change_settings(&self, now_ms: i64, attributes: &BTreeMap<String, String>) -> Result<(), SqsError> {
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let changed = settings.0.with(attributes)?;
        if changed.fifo != settings.0.fifo {
            let message = "You can specify the FifoQueue attribute only during queue creation.";
            return Err(SqsError::new(ErrorKind::InvalidAttributeValue, message));
        }
        *settings = (Arc::new(changed), now_ms);
        Ok(())
    }

    pub(crate) fn tags(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        lock(&self.tags)
    }

    /// Works on the messages, brought up to date first.
    pub(crate) fn with<R>(&self, now_ms: i64, work: impl FnOnce(&mut MessageStore) -> R) -> R {
        let retention_ms = self.settings().retention_s.saturating_mul(1_000);
        let lag_ms = self.lag_ms();
        let mut guard = lock(&self.messages);
        let Messages { store, history } = &mut *guard;
        if lag_ms.is_some() {
            history.start(store.depth());
        } else {
            history.clear();
        }
        store.advance(now_ms, retention_ms);
        let result = work(store);
        if let Some(lag_ms) = lag_ms {
            history.record(now_ms, lag_ms, store.depth());
        }
        result
    }

    /// As [`Self::with`], then wakes a long poll if there is something to receive.
    pub(crate) fn with_and_wake<R>(&self, now_ms: i64, work: impl FnOnce(&mut MessageStore) -> R) -> R {
        let (result, wake) = self.with(now_ms, |store| {
            let next_before = store.next_visible_ms();
            let result = work(store);
            let next = store.next_visible_ms();
            let sooner = next.is_some_and(|next| next_before.is_none_or(|before| next < before));
            (result, sooner || store.has_receivable())
        });
        if wake {
            self.wake_one();
        }
        result
    }

    fn lag_ms(&self) -> Option<i64> {
        self.faults.lagging_counts().map(|lag| i64::try_from(lag.as_millis()).unwrap_or(i64::MAX))
    }

    /// How many messages are in which state, exactly.
    pub(crate) fn depth(&self, now_ms: i64) -> QueueDepth {
        self.with(now_ms, |store| store.depth())
    }

    /// The counts that clients see: those of a while ago under the lagging-counts fault.
    pub(crate) fn reported_depth(&self, now_ms: i64) -> QueueDepth {
        let depth = self.depth(now_ms);
        lock(&self.messages).history.lagging().unwrap_or(depth)
    }

    /// Drops all messages.
    pub(crate) fn purge(&self, now_ms: i64) -> Result<(), SqsError> {
        {
            let mut purged_ms = lock(&self.purged_ms);
            if purged_ms.is_some_and(|at_ms| now_ms < at_ms.saturating_add(PURGE_INTERVAL_MS)) {
                return Err(SqsError::new(
                    ErrorKind::PurgeQueueInProgress,
                    format!("Only one PurgeQueue operation on {} is allowed every 60 seconds.", self.identity.name),
                ));
            }
            *purged_ms = Some(now_ms);
        }
        let old = self.with(now_ms, MessageStore::purge);
        drop(old);
        Ok(())
    }

    /// Ends the queue: long polls return.
    pub(crate) fn close(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.arrival.notify_waiters();
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Wakes the long poll that has waited longest, if there is one.
    pub(crate) fn wake_one(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.arrival.notify_one();
        }
    }

    /// Counts the caller among those who wait until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting { queue: Arc::clone(self) }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Completes on the next arrival.
    pub(crate) fn arrival(&self) -> tokio::sync::futures::Notified<'_> {
        self.arrival.notified()
    }
}

/// A long poll that waits. When it leaves (with messages, empty-handed or because its client hung
/// up) it wakes the next one: that one takes what is left and takes over the watch for the next
/// message that becomes visible.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: Arc<Queue>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::SeqCst);
        self.queue.wake_one();
    }
}
