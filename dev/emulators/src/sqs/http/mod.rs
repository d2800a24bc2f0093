//! The protocol: requests in, answers and errors out.

pub(crate) mod action;
pub(crate) mod batch;
pub(crate) mod errors;
pub(crate) mod paging;
pub(crate) mod protocol;
pub(crate) mod server;
