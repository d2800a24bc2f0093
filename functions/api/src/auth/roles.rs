//! Roles, and what each may do. What a route does stands in the router's table.

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
    /// Allowed with every key: health, manifest, and paths that are no route.
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

    /// The roles that allow it (the matrix of OJS security section 7.5).
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        use Role::{Admin, Operator, Producer, Reader, Worker};
        match self {
            Self::Enqueue => &[Producer, Operator, Admin],
            Self::Dequeue => &[Worker, Admin],
            Self::Cancel => &[Operator, Admin],
            Self::Inspect => &[Reader, Operator, Admin],
            Self::Admin => &[Admin],
            Self::Any => &Role::ALL,
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
    /// Reads everything, changes nothing. Not in the specification.
    Reader,
    /// Submits, cancels, reads.
    Operator,
    /// Everything.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_matrix_says() {
        use Operation::{Admin, Any, Cancel, Dequeue, Enqueue, Inspect};
        let may = |role: Role| {
            let all = [Enqueue, Dequeue, Cancel, Inspect, Admin, Any];
            all.into_iter().filter(|operation| operation.roles().contains(&role)).collect::<Vec<_>>()
        };
        assert_eq!(may(Role::Producer), [Enqueue, Any]);
        assert_eq!(may(Role::Worker), [Dequeue, Any]);
        assert_eq!(may(Role::Reader), [Inspect, Any]);
        assert_eq!(may(Role::Operator), [Enqueue, Cancel, Inspect, Any]);
        assert_eq!(may(Role::Admin), [Enqueue, Dequeue, Cancel, Inspect, Admin, Any]);
        assert!(Role::ALL.into_iter().all(|role| Role::parse(role.as_str()) == Some(role)));
    }
}
