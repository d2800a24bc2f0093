//! A clock ahead of the machine's, for the tick: nothing waits an hour here.

use std::time::Duration;

use ojs_core::clock::Sleep;
use ojs_core::{Clock, SystemClock};

/// The machine's clock, this many ms ahead.
#[derive(Debug)]
pub(crate) struct Ahead(pub(crate) i64);

impl Clock for Ahead {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        SystemClock.sleep(duration)
    }
}
