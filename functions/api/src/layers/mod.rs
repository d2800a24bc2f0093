//! What holds for every request, from the outside in: trailing slashes ([`around`]), headers, error bodies, deadline and
//! log line ([`answer`]), key and roles ([`admit`]), headers that no handler can serve ([`accept`]).
//! [`cors`] is around all of it, where the process has to answer browsers itself.

mod accept;
mod admit;
mod answer;
pub mod cors;
mod observe;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::middleware;
use ojs_model::{Error, ErrorCode};
use tower::ServiceExt;

use crate::auth::permissions::Permissions;
use crate::problem::Problem;
use crate::state::Api;

/// The protocol version this server speaks (HTTP binding section 3.2).
const OJS_VERSION: &str = "1.0";

/// Puts all layers around the routes.
pub(crate) fn around(routes: Router<Api>, permissions: Permissions, api: Api) -> Router {
    let app: Router = routes
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .layer(middleware::from_fn_with_state((api.clone(), permissions), admit::admit))
        .layer(middleware::from_fn_with_state(api.clone(), answer::answer))
        .with_state(api);
    // Layers of a router run after it has chosen the route.
    Router::new().fallback_service(app.map_request(without_trailing_slashes))
}

/// The path without slashes at its end: `/jobs/` is `/jobs`.
fn without_trailing_slashes(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path();
    let trimmed = path.trim_end_matches('/');
    if trimmed.len() == path.len() || trimmed.is_empty() {
        return request;
    }
    let short = uri.query().map_or_else(|| trimmed.to_owned(), |query| format!("{trimmed}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = short.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

async fn no_route(request: Request) -> Problem {
    Problem(Error::not_found("route", &format!("{} {}", request.method(), request.uri().path())))
}

async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem(Error::new(ErrorCode::MethodNotAllowed, format!("{method} is not allowed on {path}.")).with("path", path))
}
