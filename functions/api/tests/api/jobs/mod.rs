//! Jobs: one, many, unique, dead.

mod batch;
mod bulk;
mod dead_letters;
mod idempotency;
mod one;
mod unique;
