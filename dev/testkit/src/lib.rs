//! The engine on the embedded stack, for tests: every stack has its own table, queues and ports, and a clock that only
//! the test moves. Several engines on one stack are several instances of the function.

mod clock;
mod http;
mod stack;

pub use clock::{SkewedClock, TestClock};
pub use http::{Answer, Http};
pub use stack::{TestStack, fields};

/// When every test's clock starts, ms since the Unix epoch: 2026-11-24T09:00:00Z.
pub const START_MS: i64 = 1_795_510_800_000;
