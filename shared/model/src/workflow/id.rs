use sha2::{Digest, Sha256};

use crate::ids::JobId;

/// The id of a step's job, or of the workflow that a step is: a UUIDv7 of the outermost workflow's time whose other bits follow
/// from workflow and step, so that every process that starts the step makes the same (I5). Ids rise with the index.
#[must_use]
pub fn job_id(workflow: &JobId, index: usize) -> JobId {
    let place = u16::try_from(index).unwrap_or(u16::MAX).to_be_bytes();
    let digest = Sha256::new().chain_update("ojs workflow\0").chain_update(workflow.as_str()).chain_update(place);
    let mut bits = [0; 10];
    bits.copy_from_slice(&digest.finalize()[..10]);
    bits[..2].copy_from_slice(&place);
    JobId::derived(workflow.made_at_ms(), &bits)
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
        let of = |workflow: &JobId| (0..1_100).map(|i| job_id(workflow, i)).collect::<Vec<_>>();
        assert_eq!(of(&one), of(&one));
        assert!(of(&one).windows(2).all(|two| two[0] < two[1]));
        assert!(of(&one).iter().zip(of(&two)).all(|(a, b)| *a != b && JobId::parse(a.as_str()).is_some()));
        assert_eq!(job_id(&one, 3).made_at_ms(), 1_700_000_000_000);
        assert_ne!(job_id(&job_id(&one, 0), 0), job_id(&one, 0));
    }
}
