//! What a handler reads of a request: body, path, query, and the page of a list.

mod body;
pub(crate) mod page;
mod path;
mod query;

pub(crate) use body::{JsonBody, OptionalJsonBody};
pub(crate) use path::PathId;
pub(crate) use query::Params;
