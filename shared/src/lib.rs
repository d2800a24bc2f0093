//! The engine of ojs-serverless: everything the functions share.
//!
//! * [`job`]: pure. The envelope, its validation, the state machine ([`job::step`]) and the clock-driven
//!   view of a job ([`job::settle`]). Knows nothing of AWS, async or the wall clock.
//! * [`cron`]: pure as well. Schedules, time zones, and what is to happen at one of their times.
//! * [`queue`]: pure. Pauses, priority tiers.
//! * [`batch`], [`limit`]: pure. Many jobs at once; how many may start or run.
//! * [`workflow`]: pure. Jobs that follow each other.
//! * [`store`]: DynamoDB, the truth. Every state change is one conditional write.
//! * [`transport`]: SQS, the continuation. One message per live job says who looks next.
//! * [`engine`]: one operation per file, written against the two.
//! * [`observe`]: numbers and trace contexts.
//!
//! See `docs/architecture.md` for the invariants I1 to I7 that the comments name.

pub mod aws;
pub mod batch;
mod bounded;
pub mod bulk;
pub mod clock;
pub mod cron;
pub mod deadline;
pub mod engine;
pub mod error;
pub mod ids;
pub mod job;
pub mod json;
pub mod limit;
pub mod observe;
pub mod queue;
pub mod settings;
pub mod store;
pub mod transport;
pub mod workflow;

pub use clock::{Clock, SystemClock};
pub use deadline::Deadline;
pub use engine::Engine;
pub use error::{Error, ErrorCode, Result};
pub use ids::{Ids, JobId};
pub use settings::Settings;
