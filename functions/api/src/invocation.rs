/// The invocation of a Lambda function that brought a request: an extension of the request. Elsewhere a request has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's id of it.
    pub request_id: String,
    /// When Lambda kills the function, ms since the Unix epoch.
    pub deadline_ms: Option<i64>,
}
