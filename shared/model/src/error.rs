//! The errors an OJS client sees (HTTP binding section 16), free of HTTP itself.

use std::fmt;

use serde_json::{Map, Value, json};

/// Result of an engine operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by the names the HTTP binding gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The body is empty, not JSON, or not UTF-8.
    InvalidPayload,
    /// A field is missing, of the wrong type, or out of range.
    InvalidRequest,
    /// The retry policy breaks a rule.
    ValidationError,
    /// No such job, dead letter or route.
    NotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The job's state does not allow the transition.
    Conflict,
    /// The id is taken.
    Duplicate,
    /// A version or feature this server does not have.
    Unsupported,
    /// The body is encoded in a way that is not read here.
    UnsupportedMediaType,
    /// The envelope, result or request body is larger than its limit.
    PayloadTooLarge,
    /// No valid API key.
    Unauthenticated,
    /// The API key may not do this.
    PermissionDenied,
    /// AWS throttles us; try again later.
    RateLimited,
    /// DynamoDB or SQS refused a call in a way that a retry will not mend by itself.
    BackendError,
    /// DynamoDB or SQS does not answer; try again later.
    BackendUnavailable,
    /// A bug of ours.
    InternalError,
}

impl ErrorCode {
    /// The code on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidPayload => "invalid_payload",
            Self::InvalidRequest => "invalid_request",
            Self::ValidationError => "validation_error",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::Duplicate => "duplicate",
            Self::Unsupported => "unsupported",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::PayloadTooLarge => "payload_too_large",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::RateLimited => "rate_limited",
            Self::BackendError => "backend_error",
            Self::BackendUnavailable => "backend_unavailable",
            Self::InternalError => "internal_error",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::BackendError | Self::BackendUnavailable | Self::InternalError)
    }

    /// One line that tells a client what to do about it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::InvalidPayload => "Send a JSON object encoded as UTF-8.",
            Self::InvalidRequest => "Correct the field named in details and send the request again.",
            Self::ValidationError => "Correct the retry policy field named in the message.",
            Self::NotFound => "Check the id or the path.",
            Self::MethodNotAllowed => "Use one of the methods listed in the Allow header.",
            Self::Conflict => "Read the job's current state; the transition is not possible from it.",
            Self::Duplicate => "The job exists already; read it by its id or use another id.",
            Self::Unsupported => "See GET /ojs/manifest for what this server supports.",
            Self::UnsupportedMediaType => "Send the body as the Accept-Encoding header of this answer says.",
            Self::PayloadTooLarge => "Keep the payload below the limit in details; store large data elsewhere.",
            Self::Unauthenticated => "Send 'Authorization: Bearer <OJS_API_KEY>'.",
            Self::PermissionDenied => "Use a key with one of the roles named in details.",
            Self::RateLimited => "Wait for Retry-After seconds, then send the request again.",
            Self::BackendError => "See the server's log for this request_id.",
            Self::BackendUnavailable => "Wait for Retry-After seconds, then send the request again.",
            Self::InternalError => "This is a bug; report it with the request_id.",
        }
    }
}

/// An error that names its cause to the client. Never holds payloads or secrets.
#[derive(Debug, Clone)]
pub struct Error {
    /// The kind.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
    /// Machine-readable context: field, resource, states, limits.
    pub details: Map<String, Value>,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u32>,
}

impl Error {
    /// An error without details.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let retry_after_s = match code {
            ErrorCode::RateLimited | ErrorCode::BackendUnavailable => Some(1),
            _ => None,
        };
        Self { code, message: message.into(), details: Map::new(), retry_after_s }
    }

    /// Adds one detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// Sets the Retry-After, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// A field breaks a rule: 400 `invalid_request`.
    #[must_use]
    pub fn field(field: &str, problem: impl fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidRequest, format!("'{field}' {problem}.")).with("field", field)
    }

    /// A retry policy field breaks a rule: 422 `validation_error`.
    #[must_use]
    pub fn policy(field: &str, problem: impl fmt::Display) -> Self {
        Self::new(ErrorCode::ValidationError, format!("'{field}' {problem}.")).with("field", field)
    }

    /// Valid, but not to be had here: 422 `unsupported`.
    #[must_use]
    pub fn unsupported(problem: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Unsupported, problem.to_string())
    }

    /// No such resource: 404.
    #[must_use]
    pub fn not_found(resource: &str, id: &str) -> Self {
        let mut chars = resource.chars();
        let name: String = chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect();
        Self::new(ErrorCode::NotFound, format!("{name} '{id}' not found."))
            .with("resource_type", resource)
            .with("resource_id", id)
    }

    /// Something is larger than `limit_bytes`: 413.
    #[must_use]
    pub fn too_large(what: &str, size_bytes: usize, limit_bytes: usize) -> Self {
        Self::new(
            ErrorCode::PayloadTooLarge,
            format!("The {what} has {size_bytes} bytes; the limit is {limit_bytes} bytes."),
        )
        .with("what", what)
        .with("size_bytes", json!(size_bytes))
        .with("limit_bytes", json!(limit_bytes))
    }

    /// A bug: the detail goes to the log, not to the client.
    #[must_use]
    pub fn internal(detail: impl fmt::Display) -> Self {
        tracing::error!(%detail, "internal error");
        Self::new(ErrorCode::InternalError, "Internal error.")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Error {}
