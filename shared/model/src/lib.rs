//! The rules of OJS, pure: no AWS, no async, no clock. Times and ids come in as arguments.
//!
//! * [`job`]: the envelope, its validation, the state machine ([`job::step`]) and what the clock makes of a job
//!   ([`job::Job::as_of`]).
//! * [`cron`]: schedules, time zones, and what is to happen at one of their times.
//! * [`queue`]: pauses, priority tiers, configuration. [`batch`], [`bulk`]: many jobs at once. [`limit`]: how many may start
//!   or run. [`workflow`]: jobs that follow each other. [`events`]: what has happened.
//! * [`message`]: what a message says. [`time`], [`ids`], [`json`], [`error`]: what all of these are made of.

pub mod batch;
pub mod bulk;
pub mod cron;
pub mod error;
pub mod events;
pub mod ids;
pub mod job;
pub mod json;
pub mod limit;
pub mod message;
pub mod queue;
pub mod time;
pub mod workflow;

pub use error::{Error, ErrorCode, Result};
pub use ids::{Ids, JobId};
