use std::collections::{BTreeMap, HashMap};

use crate::engine::{Engine, MAX_ANSWER_BYTES};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::Job;
use ojs_model::json::{escaped_bytes, raw};
use ojs_model::workflow::{Leaf, Missing, leaves_of, render};

/// Steps that are not asked for, so many in a row at least, are not read along with those around them.
const MIN_GAP: usize = 16;
/// Bytes in an answer of what stands in the place of a result.
const MARK_BYTES: usize = 160;

/// Steps of one partition, from the first to the last: one query.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    workflow: JobId,
    shards: usize,
    first: usize,
    last: usize,
}

impl Engine {
    /// Adds the results of the steps before it to a job, as many as an answer has room for, the last steps' first: one query, and one
    /// more for each workflow inside, shard, and gap between the steps. In the place of one that is missing stands what says so.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::engine) async fn add_results(&self, job: &mut Job) -> Result<()> {
        let (Some(member), Some(parents)) = (&job.member_of, &job.parents) else { return Ok(()) };
        let leaves = leaves_of(parents, &member.workflow);
        let room = MAX_ANSWER_BYTES.saturating_sub(job.answer_bytes());
        let mut room = room.saturating_sub(leaves.len() * MARK_BYTES);
        let mut results: HashMap<(JobId, usize), String> = HashMap::new();
        let mut unread: Vec<Range> = Vec::new();
        for range in ranges(&leaves).into_iter().rev() {
            if !unread.is_empty() {
                unread.push(range);
                continue;
            }
            let steps = (range.first, range.last);
            let kept = self.store.get_results(&range.workflow, range.shards, steps, room).await?;
            let mut rest =
                (!kept.all).then(|| kept.found.last().map_or(range.last, |(step, _)| step.saturating_sub(1)));
            for (step, result) in kept.found {
                let size = escaped_bytes(result.as_bytes());
                if size > room {
                    rest = Some(rest.map_or(step, |rest| rest.max(step)));
                    break;
                }
                room -= size;
                results.insert((range.workflow.clone(), step), result);
            }
            unread.extend(rest.map(|last| Range { last, ..range }));
        }
        let is_unread = |leaf: &Leaf| unread.iter().any(|range| range.has(leaf));
        let mut texts = leaves.iter().map(|leaf| match results.remove(&(leaf.workflow.clone(), leaf.index)) {
            Some(result) => result,
            None if is_unread(leaf) => Missing::NoRoom.mark(&leaf.workflow, leaf.index).to_string(),
            None if leaf.is_kept => Missing::Gone.mark(&leaf.workflow, leaf.index).to_string(),
            None => "null".to_owned(),
        });
        let text = render(parents, &mut texts);
        job.parent_results = Some(raw(text)?);
        Ok(())
    }
}

impl Range {
    fn has(&self, leaf: &Leaf) -> bool {
        (self.first..=self.last).contains(&leaf.index)
            && self.workflow == leaf.workflow
            && leaf.index.checked_rem(self.shards) == self.first.checked_rem(self.shards)
    }
}

/// The queries that read the results of `leaves`, in the order of the last leaf that each one has.
fn ranges(leaves: &[Leaf]) -> Vec<Range> {
    let mut partitions: BTreeMap<_, Vec<(usize, &Leaf)>> = BTreeMap::new();
    for (place, leaf) in leaves.iter().enumerate() {
        let partition = (&leaf.workflow, leaf.index.checked_rem(leaf.shards));
        partitions.entry(partition).or_default().push((place, leaf));
    }
    let mut partitions: Vec<_> = partitions.into_values().collect();
    partitions.sort_unstable_by_key(|of| of.last().map(|(place, _)| *place));
    let mut ranges: Vec<Range> = Vec::new();
    for of in partitions {
        let mut of: Vec<&Leaf> = of.into_iter().map(|(_, leaf)| leaf).collect();
        of.sort_unstable_by_key(|leaf| leaf.index);
        let gap = MIN_GAP * of.first().map_or(1, |leaf| leaf.shards.max(1));
        for near in of.chunk_by(|one, next| next.index - one.index <= gap) {
            let ([first, ..], [.., last]) = (near, near) else { continue };
            let (workflow, shards) = (first.workflow.clone(), first.shards);
            ranges.push(Range { workflow, shards, first: first.index, last: last.index });
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use ojs_model::ids::Ids;

    #[test]
    fn results_are_read_in_few_queries() {
        let ids = Ids::new();
        let (one, two) = (ids.job_id(1), ids.job_id(1));
        let leaf = |workflow: &JobId, shards, index| Leaf { workflow: workflow.clone(), shards, index, is_kept: true };
        let range = |workflow: &JobId, shards, first, last| Range { workflow: workflow.clone(), shards, first, last };
        let chain: Vec<Leaf> = (0..199).map(|at| leaf(&two, 0, at)).collect();
        assert_eq!(ranges(&chain), [range(&two, 0, 0, 198)]);
        let apart = [leaf(&one, 0, 90), leaf(&one, 0, 3), leaf(&two, 0, 7), leaf(&one, 0, 4)];
        assert_eq!(ranges(&apart), [range(&two, 0, 7, 7), range(&one, 0, 3, 4), range(&one, 0, 90, 90)]);
        let group: Vec<Leaf> = (0..100).map(|at| leaf(&one, 2, at)).collect();
        assert_eq!(ranges(&group), [range(&one, 2, 0, 98), range(&one, 2, 1, 99)]);
        assert!(ranges(&group)[1].has(&group[5]) && !ranges(&group)[1].has(&group[4]));
        assert_eq!(ranges(&[]), []);
    }
}
