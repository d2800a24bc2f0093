//! The job item: one file a write or read.

pub(super) mod attributes;
pub(super) mod cancel;
pub(super) mod claim;
pub(super) mod complete;
pub(super) mod condition;
pub(super) mod dead_letter;
pub(super) mod delete;
pub(super) mod due;
pub(super) mod extend;
pub(super) mod flag;
pub(super) mod get;
pub(super) mod item;
pub(super) mod listing;
pub(super) mod lock_attributes;
pub(super) mod park;
pub(super) mod put;
pub(super) mod replace;
pub(super) mod unique;
pub(super) mod updated;
