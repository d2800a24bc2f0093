//! The item of a rate limit.

pub(super) mod attributes;
pub(super) mod item;
pub(super) mod list;
