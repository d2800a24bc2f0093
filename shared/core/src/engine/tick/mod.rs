//! How much one tick may do, and what its parts share.

pub(super) mod due;
pub(super) mod redrive;
mod unfinished;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Engine;

/// How far a tick looks ahead, ms: past a period of one minute, so that everything gets its exact delay from SQS.
pub const LOOKAHEAD_MS: i64 = 120_000;
/// A queue that has failed this often in a row is left alone for the rest of a tick (I7).
const MAX_FAILURES: u32 = 3;

/// How much a tick may do. What it leaves is for the next one.
#[derive(Debug, Clone, Copy)]
pub struct TickBudget {
    /// When to begin nothing more, ms since the Unix epoch on the engine's clock. One page of each kind of work is always
    /// done, so that ticks make progress however little time they get.
    pub until_ms: i64,
    /// Most jobs to send; the shards of the due index get equal parts.
    pub jobs: usize,
}

impl TickBudget {
    /// As much as there is.
    pub const UNLIMITED: Self = Self { until_ms: i64::MAX, jobs: usize::MAX };

    /// At most this many jobs, in whatever time.
    #[must_use]
    pub fn jobs(jobs: usize) -> Self {
        Self { jobs, ..Self::UNLIMITED }
    }

    /// The part of `jobs` that one of `parts` gets.
    pub(super) fn share(self, part: u32, parts: u32) -> usize {
        let (part, parts) = (part as usize, parts.max(1) as usize);
        self.jobs / parts + usize::from(part < self.jobs % parts)
    }
}

impl Engine {
    /// How far a tick looks ahead here, ms: on a FIFO queue, which knows no delay, a message ahead of its time would block
    /// its group.
    pub(super) fn lookahead_ms(&self) -> i64 {
        if self.transport.is_fifo() { 0 } else { LOOKAHEAD_MS }
    }

    /// The budget of a tick that has `time` left: with `OJS_TICK_MAX_JOBS` jobs at most.
    #[must_use]
    pub fn tick_budget(&self, time: Duration) -> TickBudget {
        let time_ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        TickBudget { until_ms: self.now_ms().saturating_add(time_ms), jobs: self.settings.tick_max_jobs }
    }
}

/// A tick under way.
#[derive(Debug)]
pub(super) struct Tick<'a> {
    engine: &'a Engine,
    until_ms: i64,
    /// Failures in a row, by queue.
    failures: Mutex<HashMap<String, u32>>,
}

impl<'a> Tick<'a> {
    pub(super) fn new(engine: &'a Engine, budget: TickBudget) -> Self {
        Self { engine, until_ms: budget.until_ms, failures: Mutex::default() }
    }

    /// Whether there is time for more.
    pub(super) fn has_time(&self) -> bool {
        self.engine.now_ms() < self.until_ms
    }

    /// Whether a queue fails all the time.
    pub(super) fn is_failing(&self, queue: &str) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(queue).is_some_and(|failures| *failures >= MAX_FAILURES)
    }

    /// Notes how a call to a queue ended.
    pub(super) fn note(&self, queue: &str, failed: bool) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failed {
            *failures.entry(queue.to_owned()).or_default() += 1;
        } else {
            failures.remove(queue);
        }
    }
}
