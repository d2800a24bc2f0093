//! The queue items: registry, configuration, pauses, priority tiers, counters.

pub(super) mod config;
pub(super) mod counter;
pub(super) mod pause;
pub(super) mod registry;
pub(super) mod state;
pub(super) mod tier;
