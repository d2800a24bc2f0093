//! What a role may do, and what a route does.

use axum::http::Method;

/// What a request does, as far as rights go (OJS security section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Submits jobs and workflows.
    Enqueue,
    /// Fetches jobs, and says what became of them.
    Dequeue,
    /// Cancels a job or workflow.
    Cancel,
    /// Reads jobs, queues and all else.
    Inspect,
    /// Changes queues, cron jobs, limits, dead letters, and jobs in bulk.
    Admin,
    /// What anybody with a key may: health, manifest, and routes that are none.
    Any,
}

impl Operation {
    /// Its name in errors.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Dequeue => "dequeue",
            Self::Cancel => "cancel",
            Self::Inspect => "inspect",
            Self::Admin => "admin",
            Self::Any => "any",
        }
    }

    /// What a request to `route`, the router's pattern, does. A new route is admin's until it is named here.
    #[must_use]
    pub fn of(method: &Method, route: Option<&str>) -> Self {
        let Some(route) = route else { return Self::Any };
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        match (reads, route) {
            (_, "/ojs/manifest" | "/ojs/v1/health") => Self::Any,
            (true, _) => Self::Inspect,
            (false, "/ojs/v1/jobs" | "/ojs/v1/jobs/batch" | "/ojs/v1/jobs/bulk" | "/ojs/v1/workflows") => Self::Enqueue,
            (false, "/ojs/v1/jobs/{id}/activate") => Self::Enqueue,
            (false, route) if route.starts_with("/ojs/v1/workers/") => Self::Dequeue,
            (false, "/ojs/v1/jobs/{id}" | "/ojs/v1/workflows/{id}") => Self::Cancel,
            (false, _) => Self::Admin,
        }
    }
}

/// What a key is for (OJS security section 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Submits jobs.
    Producer,
    /// Fetches and ends jobs.
    Worker,
    /// Reads all, changes nothing. Not in the specification.
    Reader,
    /// Submits, cancels, reads.
    Operator,
    /// All.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Producer, Self::Worker, Self::Reader, Self::Operator, Self::Admin];

    /// Its name in the secret.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Worker => "worker",
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Reads [`Self::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Whether it may do this (the matrix of section 7.5).
    #[must_use]
    pub fn may(self, operation: Operation) -> bool {
        match operation {
            Operation::Any => true,
            Operation::Enqueue => matches!(self, Self::Producer | Self::Operator | Self::Admin),
            Operation::Dequeue => matches!(self, Self::Worker | Self::Admin),
            Operation::Cancel => matches!(self, Self::Operator | Self::Admin),
            Operation::Inspect => matches!(self, Self::Reader | Self::Operator | Self::Admin),
            Operation::Admin => self == Self::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_matrix_says() {
        use Operation::{Admin, Any, Cancel, Dequeue, Enqueue, Inspect};
        let may = |role: Role| {
            let all = [Enqueue, Dequeue, Cancel, Inspect, Admin, Any];
            all.into_iter().filter(|operation| role.may(*operation)).collect::<Vec<_>>()
        };
        assert_eq!(may(Role::Producer), [Enqueue, Any]);
        assert_eq!(may(Role::Worker), [Dequeue, Any]);
        assert_eq!(may(Role::Reader), [Inspect, Any]);
        assert_eq!(may(Role::Operator), [Enqueue, Cancel, Inspect, Any]);
        assert_eq!(may(Role::Admin), [Enqueue, Dequeue, Cancel, Inspect, Admin, Any]);
        assert!(Role::ALL.into_iter().all(|role| Role::parse(role.as_str()) == Some(role)));
    }

    #[test]
    fn what_is_not_named_is_for_admins() {
        for (method, route, operation) in [
            (Method::POST, Some("/ojs/v1/jobs"), Operation::Enqueue),
            (Method::GET, Some("/ojs/v1/jobs/{id}"), Operation::Inspect),
            (Method::DELETE, Some("/ojs/v1/jobs/{id}"), Operation::Cancel),
            (Method::POST, Some("/ojs/v1/workers/ack"), Operation::Dequeue),
            (Method::POST, Some("/ojs/v1/jobs/bulk/delete"), Operation::Admin),
            (Method::PUT, Some("/ojs/v1/queues/{id}/config"), Operation::Admin),
            (Method::POST, Some("/ojs/v1/new"), Operation::Admin),
            (Method::GET, Some("/metrics"), Operation::Inspect),
            (Method::GET, Some("/ojs/v1/health"), Operation::Any),
            (Method::POST, None, Operation::Any),
        ] {
            assert_eq!(Operation::of(&method, route), operation, "{method} {route:?}");
        }
    }
}
