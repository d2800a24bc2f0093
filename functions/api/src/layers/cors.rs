//! Requests from pages of other origins (HTTP binding section 20), where no API Gateway answers for them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use ojs_core::settings::SettingsError;

/// The same lists are in `template.yaml` and `terraform/api.tf`.
const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str =
    "authorization, content-type, idempotency-key, ojs-version, traceparent, tracestate, x-ojs-worker-id, x-request-id";
const ANSWER_HEADERS: &str =
    "idempotent-replayed, location, ojs-version, retry-after, www-authenticate, x-ojs-max-batch-size, x-request-id";
/// How long a browser may remember the answer to a preflight, s.
const MAX_AGE: &str = "600";

/// The origins whose pages may call the API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Arc<[String]>);

impl Origins {
    /// Reads `OJS_CORS_ALLOW_ORIGINS`; without it, no origin may.
    ///
    /// # Errors
    /// [`SettingsError`] when an entry is no origin.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let variable = "OJS_CORS_ALLOW_ORIGINS";
        Self::parse(&lookup(variable).unwrap_or_default()).ok_or_else(|| SettingsError {
            variable,
            problem: "must be origins such as https://jobs.example.com, separated by commas, or *".to_owned(),
        })
    }

    /// Reads origins such as `https://jobs.example.com`, separated by commas, or `*` for all. `None` if one is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        // Browsers send them in lower case.
        let origins: Vec<String> = origins.map(str::to_ascii_lowercase).collect();
        origins.iter().all(|origin| origin == "*" || is_origin(origin)).then(|| Self(origins.into()))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn allow_all(&self) -> bool {
        self.0.iter().any(|origin| origin == "*")
    }

    /// What `Access-Control-Allow-Origin` says to a page of this origin.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.allow_all() {
            return Some(HeaderValue::from_static("*"));
        }
        self.0.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }
}

/// Scheme, host and perhaps a port, as the deployment templates want it.
fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        && port.is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Answers preflights and names the origins that may read an answer. Without origins, `app` as it is.
pub fn allow(app: Router, origins: Origins) -> Router {
    if origins.is_empty() {
        return app;
    }
    app.layer(middleware::from_fn_with_state(origins, answer))
}

async fn answer(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let allowed = request.headers().get(header::ORIGIN).and_then(|origin| origins.allowed(origin));
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match preflight {
        // Browsers send no API key with it.
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    if !origins.allow_all() {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        permit(headers, preflight);
    }
    response
}

fn permit(headers: &mut HeaderMap, preflight: bool) {
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    if preflight {
        set(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        set(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    } else {
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port() {
        for text in ["", " , ", "*", "https://a.example.com", "http://localhost:3000, https://B.example.com"] {
            assert!(Origins::parse(text).is_some(), "{text}");
        }
        for text in
            ["a.example.com", "https://", "https://a/b", "https://*.a.org", "https://a:", "https://a:123456", "ftp://a"]
        {
            assert_eq!(Origins::parse(text), None, "{text}");
        }
    }

    #[test]
    fn api_gateway_is_told_the_same() {
        let template = include_str!("../../../../template.yaml");
        let terraform = include_str!("../../../../terraform/api.tf");
        for (name, variable, list) in [
            ("AllowMethods", "allow_methods", METHODS),
            ("AllowHeaders", "allow_headers", REQUEST_HEADERS),
            ("ExposeHeaders", "expose_headers", ANSWER_HEADERS),
        ] {
            assert!(template.contains(&format!("{name}: [{list}]")), "{name}");
            let quoted: Vec<String> = list.split(", ").map(|item| format!("\"{item}\"")).collect();
            let line = terraform.lines().find(|line| line.trim_start().starts_with(variable)).unwrap();
            assert!(line.ends_with(&format!("= [{}]", quoted.join(", "))), "{variable}");
        }
        assert!(template.contains(&format!("MaxAge: {MAX_AGE}")));
        assert!(terraform.lines().any(|line| line.trim_start().starts_with("max_age") && line.ends_with(MAX_AGE)));
    }
}
