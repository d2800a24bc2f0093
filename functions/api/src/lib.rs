//! The OJS HTTP API: one axum router for Lambda, a plain server, the local stack and the tests.
//!
//! A request passes the layers (what holds for every request: request id, version, authentication, content type) and
//! reaches a handler in `resources` or `workers`, one file a resource. Errors get their body in [`problem`].

pub mod auth;
pub mod config;
mod extract;
mod invocation;
mod layers;
pub mod problem;
mod reply;
mod resources;
mod router;
mod serving;
mod state;
mod workers;

pub use config::Config;
pub use invocation::Invocation;
pub use layers::cors;
pub use router::{Route, router, routes};
pub use serving::{Running, serve};
pub use state::Api;
