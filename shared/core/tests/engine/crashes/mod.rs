//! A process that stops at each of its AWS calls: what the next one makes of it.

mod fifo;
pub(crate) mod harness;
mod idempotency;
mod jobs;
mod limits;
mod unique;
mod workflows;
