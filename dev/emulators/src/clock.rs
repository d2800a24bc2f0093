//! The clock the emulators live by: the system's, or one that a test moves by hand.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// Where an emulator takes the time from.
#[derive(Debug, Clone, Default)]
pub enum EmulatorClock {
    /// The system's wall clock.
    #[default]
    System,
    /// A clock that stands still until it is moved.
    Manual(Arc<ManualClock>),
}

impl EmulatorClock {
    /// The time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => system_now_ms(),
            Self::Manual(clock) => clock.now_ms(),
        }
    }

    /// Returns once the clock shows `at_ms` or later.
    pub(crate) async fn wait_until(&self, at_ms: i64) {
        match self {
            Self::System => loop {
                // The wall clock may be set while we sleep, hence the loop.
                let left_ms = at_ms.saturating_sub(system_now_ms());
                if left_ms <= 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(left_ms.unsigned_abs())).await;
            },
            Self::Manual(clock) => clock.wait_until(at_ms).await,
        }
    }
}

/// A clock that stands still until it is moved. Long polls wake when it moves.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: watch::Sender<i64>,
}

impl ManualClock {
    /// A clock that shows `start_ms` (milliseconds since the Unix epoch).
    #[must_use]
    pub fn new(start_ms: i64) -> Arc<Self> {
        Arc::new(Self { now_ms: watch::Sender::new(start_ms) })
    }

    /// The time it shows, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        *self.now_ms.borrow()
    }

    /// Sets the time (milliseconds since the Unix epoch).
    pub fn set_ms(&self, now_ms: i64) {
        self.now_ms.send_replace(now_ms);
    }

    /// Moves the clock forward (in whole milliseconds).
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.now_ms.send_modify(|now| *now = now.saturating_add(by_ms));
    }

    async fn wait_until(&self, at_ms: i64) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.now_ms.subscribe().wait_for(|now| *now >= at_ms).await;
    }
}

fn system_now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
