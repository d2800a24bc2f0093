//! The AWS clients and what their errors mean.

mod clients;
mod deadline;
mod error;
mod observe;

pub use clients::{Clients, ConnectOptions};
pub(crate) use error::{Service, is_refusal, service_error};
