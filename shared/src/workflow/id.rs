use std::fmt;

use sha2::{Digest, Sha256};

use crate::ids::JobId;

/// In the place of the shards of a callback.
const CALLBACK: &str = "-";

/// Which step of which workflow a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberOf {
    /// The workflow.
    pub workflow: JobId,
    /// The step; from the number of steps on, a callback.
    pub index: usize,
    /// Shards of its group or batch, 0 where steps depend on others; `None` for a callback, which nothing follows.
    pub shards: Option<usize>,
}

impl MemberOf {
    /// Reads its text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('#');
        let (workflow, index, shards) = (parts.next()?, parts.next()?, parts.next()?);
        let shards = if shards == CALLBACK { None } else { Some(shards.parse().ok()?) };
        Some(Self { workflow: JobId::parse(workflow)?, index: index.parse().ok()?, shards })
    }
}

impl fmt::Display for MemberOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#", self.workflow, self.index)?;
        match self.shards {
            Some(shards) => write!(f, "{shards}"),
            None => f.write_str(CALLBACK),
        }
    }
}

/// The id of a step's job: a UUIDv7 of the workflow's time whose other bits follow from workflow and step, so that whoever starts
/// the step makes the same job (I5). Ids rise with the index.
#[must_use]
pub fn job_id(workflow: &JobId, created_at_ms: i64, index: usize) -> JobId {
    let place = u16::try_from(index).unwrap_or(u16::MAX).to_be_bytes();
    let digest = Sha256::new().chain_update("ojs workflow\0").chain_update(workflow.as_str()).chain_update(place);
    let mut bits = [0; 10];
    bits.copy_from_slice(&digest.finalize()[..10]);
    bits[..2].copy_from_slice(&place);
    JobId::derived(created_at_ms, &bits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Ids;

    #[test]
    fn ids_follow_from_workflow_and_step_and_rise() {
        let ids = Ids::new();
        let (one, two) = (ids.job_id(1_700_000_000_000), ids.job_id(1_700_000_000_000));
        let of = |workflow: &JobId| (0..1_100).map(|i| job_id(workflow, 1_700_000_000_000, i)).collect::<Vec<_>>();
        assert_eq!(of(&one), of(&one));
        assert!(of(&one).windows(2).all(|two| two[0] < two[1]));
        assert!(of(&one).iter().zip(of(&two)).all(|(a, b)| *a != b && JobId::parse(a.as_str()).is_some()));
        for shards in [Some(0), Some(16), None] {
            let member = MemberOf { workflow: one.clone(), index: 7, shards };
            assert_eq!(MemberOf::parse(&member.to_string()), Some(member));
        }
        assert_eq!(MemberOf::parse("x#1"), None);
    }
}
