//! The AWS clients and what their errors mean.

mod clients;
mod deadline;
mod error;
mod https;
mod observe;

pub use clients::{Clients, ConnectOptions};
pub(crate) use error::{Service, is_refusal, service_error};
pub use https::{https_client, load};
