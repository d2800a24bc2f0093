//! The sparse indexes of jobs: by the time they are due, as dead letters, and all of a queue.

pub(super) mod dead_letter;
pub(super) mod due;
pub(super) mod listing;
