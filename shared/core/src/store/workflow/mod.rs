//! The workflow item and its shards.

pub(super) mod attributes;
pub(super) mod definition;
pub(super) mod expire;
pub(super) mod item;
pub(super) mod part_attributes;
pub(super) mod result;
pub(super) mod shard;
pub(super) mod write;
