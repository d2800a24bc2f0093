//! The local stack: embedded DynamoDB, the SQS emulator and the OJS API in one process.
//!
//! The API reaches both through the ordinary SDK clients over loopback: there is no second code path.

mod admin;
mod chaos;
mod stack;
mod tick;

pub use chaos::Chaos;
pub use stack::{STATS_MAX_JOBS, Stack, StackOptions, StartError};
