//! Whose key a request shows, and whether its roles allow the route.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::accept;
use crate::auth::permissions::Permissions;
use crate::problem::Problem;
use crate::state::Api;

/// Refuses what must not reach a handler.
pub(super) async fn admit(
    State((api, permissions)): State<(Api, Permissions)>,
    request: Request,
    next: Next,
) -> Response {
    let principal = match api.keys.check(request.headers()).await {
        Ok(principal) => principal,
        Err(error) => {
            // An info line, so that operators see that keys are being guessed.
            tracing::info!(reason = error.message, "request without a valid API key");
            return Problem(error).into_response();
        }
    };
    // Every line of the request says whose it is.
    tracing::Span::current().record("principal", principal.name.as_str());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let operation = permissions.operation(request.method(), route);
    let checked = principal.check(operation).inspect_err(|_| {
        tracing::warn!(principal = principal.name, operation = operation.as_str(), "permission denied");
    });
    if let Err(error) = checked.and_then(|()| accept::check(&request)) {
        return Problem(error).into_response();
    }
    next.run(request).await
}
