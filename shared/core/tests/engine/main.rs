//! The engine on the embedded stack. One program, because each links the AWS SDK.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bulk;
mod crashes;
mod cron;
mod enqueue;
mod limit;
mod model;
mod queue;
mod tick;
mod worker;
mod workflow;
