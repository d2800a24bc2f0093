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

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        self.0.advance(duration);
        Box::pin(std::future::ready(()))
    }
}
