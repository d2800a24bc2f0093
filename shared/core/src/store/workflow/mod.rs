//! The workflow item and its shards.

pub(super) mod definition;
pub(super) mod expire;
pub(super) mod item;
pub(super) mod result;
pub(super) mod shard;
pub(super) mod write;
