//! The account: which queues there are, and what all actions share.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::counters::LiveCounters;
use super::faults::FaultControl;
use super::http::errors::{ErrorKind, SqsError};
use super::queue::move_task::MoveTasks;
use super::queue::names::{queue_name_of_arn, queue_name_of_url};
use super::queue::settings::Settings;
use super::queue::{Queue, QueueIdentity};
use crate::EmulatorClock;

/// The name of a deleted queue is blocked for this long (ms).
const DELETED_RECENTLY_MS: i64 = 60_000;

/// The account and all that actions share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) clock: EmulatorClock,
    pub(crate) faults: Arc<FaultControl>,
    pub(crate) counters: LiveCounters,
    pub(crate) move_tasks: MoveTasks,
    /// Turns true when the emulator stops: long polls return.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) region: String,
    pub(crate) account_id: String,
    /// `http://HOST:PORT`.
    pub(crate) base_url: String,
    names: RwLock<Names>,
    next_number: AtomicU64,
}

#[derive(Debug, Default)]
struct Names {
    queues: BTreeMap<String, Arc<Queue>>,
    /// When (ms) queues were deleted.
    deleted: HashMap<String, i64>,
}

impl Service {
    pub(crate) fn new(
        clock: EmulatorClock,
        faults: Arc<FaultControl>,
        stopping: watch::Receiver<bool>,
        (region, account_id): (String, String),
        base_url: String,
    ) -> Self {
        Self {
            clock,
            faults,
            counters: LiveCounters::default(),
            move_tasks: MoveTasks::default(),
            stopping,
            region,
            account_id,
            base_url,
            names: RwLock::default(),
            next_number: AtomicU64::new(1),
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn names_mut(&self) -> RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue of that name, once it can be used.
    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Queue>> {
        let queue = self.names().queues.get(name).cloned()?;
        let usable_ms = queue.identity.usable_ms;
        (usable_ms == i64::MIN || usable_ms <= self.now_ms()).then_some(queue)
    }

    /// The queue of a `QueueUrl` parameter.
    pub(crate) fn by_url(&self, url: Option<&str>) -> Result<Arc<Queue>, SqsError> {
        let url = url.filter(|url| !url.is_empty()).ok_or_else(|| SqsError::missing("QueueUrl"))?;
        let name = queue_name_of_url(url, &self.account_id)?;
        self.by_name(name).ok_or_else(SqsError::queue_does_not_exist)
    }

    pub(crate) fn by_arn(&self, arn: &str) -> Option<Arc<Queue>> {
        self.by_name(queue_name_of_arn(arn, &self.region, &self.account_id)?)
    }

    pub(crate) fn arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{name}", self.region, self.account_id)
    }

    /// All queues, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.names().queues.values().cloned().collect()
    }

    /// Up to `limit` queues whose names start with `prefix` and come after `after`.
    pub(crate) fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Arc<Queue>> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let names = self.names();
        let from_start = names.queues.range::<str, _>((start, Bound::Unbounded));
        let matching = from_start.take_while(|(name, _)| name.starts_with(prefix));
        matching.take(limit).map(|(_, queue)| Arc::clone(queue)).collect()
    }

    /// Creates a queue, or returns the one that has the name already (and true).
    pub(crate) fn create(&self, name: &str, settings: Settings) -> Result<(Arc<Queue>, bool), SqsError> {
        let now_ms = self.now_ms();
        let delay_ms = i64::try_from(self.faults.new_queue_delay().as_millis()).unwrap_or(i64::MAX);
        let mut names = self.names_mut();
        if let Some(queue) = names.queues.get(name) {
            return Ok((Arc::clone(queue), true));
        }
        names.deleted.retain(|_, at_ms| now_ms < at_ms.saturating_add(DELETED_RECENTLY_MS));
        if names.deleted.contains_key(name) {
            return Err(SqsError::new(
                ErrorKind::QueueDeletedRecently,
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
            ));
        }
        let identity = QueueIdentity {
            number: self.next_number.fetch_add(1, Ordering::Relaxed),
            name: name.to_owned(),
            arn: self.arn(name).into(),
            url: format!("{}/{}/{name}", self.base_url, self.account_id),
            created_ms: now_ms,
            usable_ms: if delay_ms == 0 { i64::MIN } else { now_ms.saturating_add(delay_ms) },
        };
        let queue = Arc::new(Queue::new(identity, settings, Arc::clone(&self.faults)));
        names.queues.insert(name.to_owned(), Arc::clone(&queue));
        Ok((queue, false))
    }

    pub(crate) fn delete(&self, queue: &Queue) {
        let name = &queue.identity.name;
        let mut names = self.names_mut();
        // It may have been deleted (and even created again) meanwhile.
        if names.queues.get(name).is_some_and(|found| found.identity.number == queue.identity.number) {
            names.queues.remove(name);
            names.deleted.insert(name.clone(), self.now_ms());
        }
        drop(names);
        queue.close();
    }

    /// Forgets all queues and all that is remembered of deleted ones.
    pub(crate) fn reset(&self) {
        let old = std::mem::take(&mut *self.names_mut());
        self.move_tasks.clear();
        for queue in old.queues.values() {
            queue.close();
        }
    }

    /// Checks that the dead-letter queue a queue names exists, is of its kind and lets it.
    pub(crate) fn check_redrive(&self, name: &str, settings: &Settings) -> Result<(), SqsError> {
        let Some(policy) = &settings.redrive else {
            return Ok(());
        };
        let bad = |reason| SqsError::invalid_value(policy.render(), "RedrivePolicy", reason);
        let Some(target) = self.by_arn(&policy.target_arn) else {
            return Err(bad("Dead letter target does not exist."));
        };
        let target_settings = target.settings();
        if target_settings.fifo != settings.fifo {
            return Err(bad("Dead-letter queue must be same type of queue as the source."));
        }
        let source_arn = self.arn(name);
        if target_settings.redrive_allow.as_ref().is_some_and(|allow| !allow.allows(&source_arn)) {
            return Err(bad("The dead-letter queue does not allow this source queue."));
        }
        Ok(())
    }

    /// The queues whose dead-letter queue is `arn`, by name.
    pub(crate) fn dead_letter_sources(&self, arn: &str) -> Vec<Arc<Queue>> {
        let mut sources = self.all();
        sources.retain(|queue| queue.settings().redrive.as_ref().is_some_and(|policy| policy.target_arn == arn));
        sources
    }
}
