//! Rate limits (OJS rate limiting): how many jobs of one key may start, and how many may run at once. Pure.
//!
//! * [`RateLimitPolicy`]: what a job asks for. [`Limits`] alone are those of a queue, or of an operator's override.
//! * [`LimitState`]: what has happened under one key, and whether one more job may start.
//!
//! The window of `rate` is a fixed one that begins with its first start (section 5.2 allows it and wants it said): across
//! the boundary of two windows up to twice the limit may start within one period. `throttle` has no such bursts.
//!
//! A start counts for those limits only that its own policy has. Jobs of one key share one count per kind of limit, so
//! their policies should agree: where periods differ, each job measures the shared window by its own, and one with a
//! short period begins new windows for all.

mod key;
mod limits;
mod parking;
mod policy;
#[cfg(test)]
mod properties;
mod state;
mod view;

pub use key::{LimitKey, MAX_KEY_CHARS};
pub use limits::{Limits, MAX_CONCURRENCY, MAX_LIMIT, MAX_PERIOD_MS, Window};
pub use parking::{Parking, Place, Room, Waiting};
pub use policy::{OnLimit, RateLimitPolicy};
pub use state::{LimitState, Limited, Override};
pub use view::Shown;
