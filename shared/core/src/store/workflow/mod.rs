//! The workflow item and its shards.

pub(super) mod item;
pub(super) mod shard;
pub(super) mod write;
