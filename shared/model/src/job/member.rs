use std::fmt;

use crate::ids::JobId;

/// What a member is to its workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRole {
    /// A step; `shards` of its group or batch, 0 where steps depend on others.
    Step {
        /// How many there are.
        shards: usize,
    },
    /// A callback, which nothing follows.
    Callback,
    /// A callback of a batch inside another workflow, which waits for it (workflows section 10.1).
    AwaitedCallback,
}

/// Which member of which workflow a job, or a workflow inside it, is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberOf {
    /// The workflow.
    pub workflow: JobId,
    /// The step; from the number of steps on, a callback.
    pub index: usize,
    /// What it is there.
    pub role: MemberRole,
}

impl MemberOf {
    /// Reads its text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('#');
        let (workflow, index, role) = (parts.next()?, parts.next()?, parts.next()?);
        let role = match role {
            "-" => MemberRole::Callback,
            "=" => MemberRole::AwaitedCallback,
            shards => MemberRole::Step { shards: shards.parse().ok()? },
        };
        Some(Self { workflow: JobId::parse(workflow)?, index: index.parse().ok()?, role })
    }

    /// Whether it is a step.
    #[must_use]
    pub fn is_step(&self) -> bool {
        matches!(self.role, MemberRole::Step { .. })
    }
}

impl fmt::Display for MemberOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#", self.workflow, self.index)?;
        match self.role {
            MemberRole::Step { shards } => write!(f, "{shards}"),
            MemberRole::Callback => f.write_str("-"),
            MemberRole::AwaitedCallback => f.write_str("="),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;

    #[test]
    fn text_forms_read_back() {
        let one = Ids::new().job_id(1_700_000_000_000);
        for role in [
            MemberRole::Step { shards: 0 },
            MemberRole::Step { shards: 16 },
            MemberRole::Callback,
            MemberRole::AwaitedCallback,
        ] {
            let member = MemberOf { workflow: one.clone(), index: 7, role };
            assert_eq!(MemberOf::parse(&member.to_string()), Some(member));
        }
        assert_eq!(MemberOf::parse("x#1"), None);
    }
}
