//! The job item: one file a write or read.

pub(super) mod attributes;
pub(super) mod cancel;
pub(super) mod claim;
pub(super) mod complete;
pub(super) mod condition;
pub(super) mod delete;
pub(super) mod extend;
pub(super) mod flag;
pub(super) mod get;
pub(super) mod item;
pub(super) mod park;
pub(super) mod put;
pub(super) mod read;
pub(super) mod replace;
pub(super) mod updated;
