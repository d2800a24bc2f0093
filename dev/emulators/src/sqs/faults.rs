//! What AWS does now and then, to be switched on in tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How far from the head the reorder fault reaches (messages).
const REORDER_WINDOW: usize = 64;

/// Which faults are on. The default is none. Probabilities are 0.0 (never) to 1.0 (always), and
/// every decision comes from one generator started with `seed`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SqsFaults {
    /// Probability that a delivery leaves a second, independent copy of the message in the queue
    /// (same message id; at most one per message; standard queues only).
    pub duplicate_delivery: f64,
    /// Probability that a random one of the first 64 waiting messages is delivered instead of the
    /// first (standard queues only).
    pub reorder: f64,
    /// Probability that a receive without a wait finds nothing although messages wait.
    pub empty_short_poll: f64,
    /// The message counts of `GetQueueAttributes` are those of this long ago (on the clock).
    pub lagging_counts: Option<Duration>,
    /// Probability of a throttling answer (400; `ThrottlingException`, query code
    /// `RequestThrottled`) without effect.
    pub throttle: f64,
    /// Probability of a 503 `ServiceUnavailable` without effect.
    pub unavailable: f64,
    /// Added to every request (in real time, whatever the clock).
    pub latency: Duration,
    /// Probability that the effect happens but the answer is lost: a dropped connection or a 500.
    pub lost_answer: f64,
    /// Probability that an entry of a batch fails by itself (`InternalFailure`, not the sender's fault), without effect,
    /// while its call succeeds.
    pub partial_batch_failure: f64,
    /// How long (on the clock) a new queue answers `QueueDoesNotExist`.
    pub new_queue_delay: Duration,
    /// Seed of the random decisions.
    pub seed: u64,
}

/// The fault switches of a running emulator.
#[derive(Debug)]
pub struct FaultControl {
    /// Whether any fault is on: the only thing looked at when none is.
    any: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    faults: SqsFaults,
    random: fastrand::Rng,
}

impl FaultControl {
    pub(crate) fn new(faults: SqsFaults) -> Self {
        let control = Self {
            any: AtomicBool::new(false),
            inner: Mutex::new(Inner { faults: SqsFaults::default(), random: fastrand::Rng::with_seed(0) }),
        };
        control.set(faults);
        control
    }

    /// Replaces all switches and starts the generator again from the seed.
    pub fn set(&self, faults: SqsFaults) {
        let mut inner = self.lock();
        let none = SqsFaults { seed: faults.seed, ..SqsFaults::default() };
        self.any.store(faults != none, Ordering::Release);
        inner.random = fastrand::Rng::with_seed(faults.seed);
        inner.faults = faults;
    }

    /// The switches as they are now.
    #[must_use]
    pub fn current(&self) -> SqsFaults {
        self.lock().faults.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Rolls for a probability.
    fn roll(&self, probability: impl Fn(&SqsFaults) -> f64) -> bool {
        if !self.any() {
            return false;
        }
        let mut inner = self.lock();
        let probability = probability(&inner.faults);
        // No roll for faults that are off, so that they do not shift the others' decisions.
        probability > 0.0 && inner.random.f64() < probability
    }

    pub(crate) fn throttles(&self) -> bool {
        self.roll(|faults| faults.throttle)
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        self.roll(|faults| faults.unavailable)
    }

    pub(crate) fn loses_answer(&self) -> bool {
        self.roll(|faults| faults.lost_answer)
    }

    pub(crate) fn fails_batch_entry(&self) -> bool {
        self.roll(|faults| faults.partial_batch_failure)
    }

    /// How an answer is lost: with the connection, or as a 500.
    pub(crate) fn drops_connection(&self) -> bool {
        self.lock().random.bool()
    }

    pub(crate) fn empties_short_poll(&self) -> bool {
        self.roll(|faults| faults.empty_short_poll)
    }

    pub(crate) fn duplicates(&self) -> bool {
        self.roll(|faults| faults.duplicate_delivery)
    }

    /// Which of `waiting` messages to deliver.
    pub(crate) fn position(&self, waiting: usize) -> usize {
        if waiting > 1 && self.roll(|faults| faults.reorder) {
            self.lock().random.usize(..waiting.min(REORDER_WINDOW))
        } else {
            0
        }
    }

    pub(crate) fn latency(&self) -> Duration {
        if self.any() { self.lock().faults.latency } else { Duration::ZERO }
    }

    pub(crate) fn lagging_counts(&self) -> Option<Duration> {
        if self.any() { self.lock().faults.lagging_counts } else { None }
    }

    pub(crate) fn new_queue_delay(&self) -> Duration {
        if self.any() { self.lock().faults.new_queue_delay } else { Duration::ZERO }
    }
}
