use std::sync::Arc;
use std::time::Duration;

use ojs_core::Clock;
use ojs_core::clock::Sleep;
use ojs_emulators::ManualClock;

/// The emulators' manual clock, as the engine's. A sleeper moves it on, so that nothing ever waits.
#[derive(Debug, Clone)]
pub struct TestClock(pub Arc<ManualClock>);

impl TestClock {
    /// Moves the clock, ms.
    pub fn advance_ms(&self, ms: u64) {
        self.0.advance(Duration::from_millis(ms));
    }
}

/// The same clock, some ms off: an instance whose machine is not quite on time.
#[derive(Debug, Clone)]
pub struct SkewedClock(pub TestClock, pub i64);

impl Clock for SkewedClock {
    fn now_ms(&self) -> i64 {
        self.0.now_ms() + self.1
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        self.0.sleep(duration)
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        self.0.advance(duration);
        Box::pin(std::future::ready(()))
    }
}
