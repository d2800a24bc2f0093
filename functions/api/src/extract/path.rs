//! The `{id}` of a path: a job's id, a cron job's name.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use ojs_model::{Error, JobId};

/// The `{id}` as text; one that is not UTF-8 reads as an id that nothing has, not as an error of its own shape.
pub(crate) struct PathId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(id.map_or_else(|_| char::REPLACEMENT_CHARACTER.to_string(), |Path(id)| id)))
    }
}

/// The job id that `text` is. What cannot be an id names no `resource`: 404.
pub(crate) fn job_id(resource: &str, text: &str) -> Result<JobId, Error> {
    JobId::parse(text).ok_or_else(|| Error::not_found(resource, &text.chars().take(64).collect::<String>()))
}
