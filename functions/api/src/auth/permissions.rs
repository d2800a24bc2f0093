//! Which operation a request is, by the route that it matched.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::Method;

use super::roles::Operation;

/// The operations of all routes. Made from the router's table, so that a route cannot lack one.
#[derive(Debug, Clone)]
pub(crate) struct Permissions(Arc<HashMap<&'static str, Vec<(Method, Operation)>>>);

impl Permissions {
    /// The operations of these routes: method, path and operation of each.
    pub(crate) fn new(routes: impl IntoIterator<Item = (Method, &'static str, Operation)>) -> Self {
        let mut paths: HashMap<_, Vec<_>> = HashMap::new();
        for (method, path, operation) in routes {
            paths.entry(path).or_default().push((method, operation));
        }
        Self(Arc::new(paths))
    }

    /// What a request is that matched `path`, one of the router's patterns; `None` where it matched none and is a 404.
    ///
    /// `GET` answers `HEAD`, too. A method that the path does not have is a 405, but only for clients that may use the path:
    /// it counts as what the path's other methods are. A path that is not in the table is the local stack's own: its readers
    /// read, its admins change.
    pub(crate) fn operation(&self, method: &Method, path: Option<&str>) -> Operation {
        let Some(path) = path else { return Operation::Any };
        let listed = self.0.get(path).map(Vec::as_slice).unwrap_or_default();
        let asked = if *method == Method::HEAD { &Method::GET } else { method };
        match listed.iter().find(|(method, _)| method == asked) {
            Some((_, operation)) => *operation,
            None => unlisted(method, listed),
        }
    }
}

/// What a method is that a path does not have, by those that it has.
fn unlisted(method: &Method, listed: &[(Method, Operation)]) -> Operation {
    let is_open = |(_, operation): &(Method, Operation)| *operation == Operation::Any;
    if !listed.is_empty() && listed.iter().all(is_open) {
        return Operation::Any;
    }
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Operation::Inspect;
    }
    let mut changes = listed.iter().filter(|(method, _)| !method.is_safe()).map(|(_, operation)| *operation);
    match changes.next() {
        Some(first) if changes.all(|other| other == first) => first,
        _ => Operation::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Operation::{Admin, Any, Cancel, Dequeue, Enqueue, Inspect};

    #[test]
    fn requests_are_what_their_route_is() {
        let permissions = Permissions::new([
            (Method::GET, "/open", Any),
            (Method::GET, "/jobs/{id}", Inspect),
            (Method::DELETE, "/jobs/{id}", Cancel),
            (Method::POST, "/jobs", Enqueue),
            (Method::POST, "/mixed", Enqueue),
            (Method::PUT, "/mixed", Dequeue),
            (Method::GET, "/read", Inspect),
        ]);
        for (method, path, operation) in [
            (Method::GET, Some("/jobs/{id}"), Inspect),
            (Method::HEAD, Some("/jobs/{id}"), Inspect),
            (Method::DELETE, Some("/jobs/{id}"), Cancel),
            (Method::POST, Some("/jobs"), Enqueue),
            (Method::PUT, Some("/mixed"), Dequeue),
            (Method::HEAD, Some("/open"), Any),
            // 405.
            (Method::POST, Some("/open"), Any),
            (Method::POST, Some("/jobs/{id}"), Cancel),
            (Method::OPTIONS, Some("/jobs"), Inspect),
            (Method::TRACE, Some("/jobs"), Enqueue),
            (Method::GET, Some("/jobs"), Inspect),
            (Method::PATCH, Some("/mixed"), Admin),
            (Method::POST, Some("/read"), Admin),
            // Served beside the table.
            (Method::GET, Some("/elsewhere"), Inspect),
            (Method::POST, Some("/elsewhere"), Admin),
            // 404.
            (Method::POST, None, Any),
        ] {
            assert_eq!(permissions.operation(&method, path), operation, "{method} {path:?}");
        }
    }
}
