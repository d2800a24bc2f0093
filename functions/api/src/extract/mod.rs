//! What a handler reads of a request: body, path, query, idempotency key, and the page of a list.

mod body;
mod idempotency;
pub(crate) mod page;
mod path;
mod query;

pub(crate) use body::{JsonBody, OptionalJsonBody};
pub(crate) use idempotency::idempotency_key;
pub(crate) use path::{PathId, job_id};
pub(crate) use query::Params;
