//! Query parameters, read with the errors of the rest of the API.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ojs_model::Error;

use crate::problem::Problem;

/// The parameters of a query string; of a repeated one the last counts.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        serde_urlencoded::from_str(query)
            .map(Self)
            .map_err(|e| Problem(Error::field("query", format_args!("string cannot be read: {e}"))))
    }
}

impl Params {
    /// A parameter's text; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// An integer between `min` and `max`.
    pub(crate) fn integer(&self, name: &str, min: usize, max: usize) -> Result<Option<usize>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(n) if (min..=max).contains(&n) => Ok(Some(n)),
            _ => Err(Error::field(name, format_args!("must be an integer from {min} to {max}"))
                .with("min", min)
                .with("max", max)),
        }
    }

    /// A list separated by commas.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let items = self.text(name).unwrap_or_default().split(',');
        items.map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
    }
}
