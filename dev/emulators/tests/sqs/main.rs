//! The SQS emulator over real HTTP, on a clock that the tests move.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod bad_parameters;
mod batches;
mod concurrency;
mod dead_letters;
mod delays;
mod faults;
mod fifo;
mod long_polls;
mod queues;
mod receipt_handles;
mod sdk;
mod visibility;
mod world;
