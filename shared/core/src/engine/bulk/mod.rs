//! Bulk operations.

pub(super) mod change;
pub(super) mod enqueue;
pub(super) mod idempotency;
pub(super) mod select;
