//! The OJS HTTP API: one axum router for Lambda, a plain server, the local stack and the tests.
//!
//! One file per resource. What holds for every request (request id, version, authentication, content type, size) is in
//! [`layers`]; how errors look is in [`problem`].

mod ack;
pub mod auth;
mod batch;
mod body;
mod bulk;
pub mod config;
pub mod cors;
mod cron;
mod dead_letter;
mod events;
mod fetch;
mod health;
mod heartbeat;
mod jobs;
mod layers;
mod limits;
mod manifest;
mod metrics;
mod nack;
mod page;
mod path;
pub mod problem;
mod query;
mod queues;
mod reply;
mod router;
mod serving;
mod workflows;

pub use config::Config;
pub use router::{Api, router};
pub use serving::{Running, serve};
