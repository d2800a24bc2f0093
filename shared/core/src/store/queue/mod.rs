//! The queue items: registry, configuration, pauses, priority tiers, counters.

pub(super) mod attributes;
pub(super) mod config;
pub(super) mod counter;
pub(super) mod counter_attributes;
pub(super) mod pause;
pub(super) mod registry;
pub(super) mod registry_attributes;
pub(super) mod state;
pub(super) mod tier;
