//! Rate limits: slots acquired and released, and the jobs that wait for them.

pub(super) mod acquire;
pub(super) mod cache;
pub(super) mod list;
pub(super) mod parking;
pub(super) mod rest;
