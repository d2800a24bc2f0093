//! The HTTP API on the embedded stack. One program, because each links the AWS SDK.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cron;
mod events;
mod jobs;
mod limits;
mod queues;
mod requests;
mod support;
mod workers;
mod workflows;
