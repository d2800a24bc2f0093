//! The wire between the AWS SDK and a service, watched and disturbed: an HTTP client for SDK configurations.
//!
//! It sees every try of every call. It can log and meter them, delay them, and fail a chosen one before or after its
//! effect, which is how a crash at each AWS call is enumerated. It knows nothing of us.

mod call;
mod client;
mod fault;
mod refused;

pub use call::{Call, Service};
pub use client::Wire;
pub use fault::{Fault, Plan, Then};
