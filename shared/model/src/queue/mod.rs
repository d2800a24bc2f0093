//! A queue as operators see it: paused or not, its priority tiers, its configuration. Pure.

mod config;
mod state;
mod stats;
mod tier;

pub use config::QueueConfig;
pub use state::QueueState;
pub use stats::{Ended, Live, QueueStats};
pub use tier::{MAX_ALL_TIERS, MAX_TIERS, is_reserved, nearest_tier};
