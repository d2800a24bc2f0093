//! Workflows: created, moved on when a member has ended, cancelled.

pub(super) mod advance;
pub(super) mod audit;
pub(super) mod cancel;
pub(super) mod create;
pub(super) mod get;
pub(super) mod nested;
pub(super) mod results;
pub(super) mod start;
