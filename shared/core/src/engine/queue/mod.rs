//! Queues: their configuration, pauses and counts, and where messages about their jobs are sent.

pub(super) mod cache;
pub(super) mod config;
pub(super) mod list;
pub(super) mod pause;
pub(super) mod send;
pub(super) mod stats;
