//! The HTTP API on the embedded stack. One program, because each links the AWS SDK.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod auth;
mod bad_requests;
mod batch;
mod bulk;
mod corrected_rtr_014;
mod cron;
mod dead_letters;
mod disconnects;
mod events;
mod headers;
mod health;
mod idempotency;
mod jobs;
mod lambda;
mod limits;
mod properties;
mod queues;
mod sdks;
mod support;
mod unique;
mod workers;
mod workflows;
