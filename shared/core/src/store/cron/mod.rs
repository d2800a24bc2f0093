//! The cron item.

pub(super) mod attributes;
pub(super) mod delete;
pub(super) mod due;
pub(super) mod fire;
pub(super) mod get;
pub(super) mod item;
pub(super) mod list;
pub(super) mod replace;
pub(super) mod wake;
