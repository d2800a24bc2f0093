use super::{Definition, Kind, cuts_of};
use crate::ids::JobId;
use crate::job::MemberOf;

/// Steps of one shard of a group or batch; so many may end at once without meeting each other.
const PER_SHARD: usize = 64;
/// Most shards.
const MAX_SHARDS: usize = 16;

/// How a workflow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkflowState {
    /// Steps are left.
    Running,
    /// All steps have completed.
    Completed,
    /// All steps have ended or will never start, and not all of them completed.
    Failed,
    /// Cancelled.
    Cancelled,
}

impl WorkflowState {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads [`Self::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Completed, Self::Failed, Self::Cancelled].into_iter().find(|s| s.as_str() == text)
    }
}

/// How a step is, as far as its workflow has noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// It waits for others.
    Waiting,
    /// Its job is made.
    Started,
    /// Its job has completed.
    Completed,
    /// Its job has ended otherwise.
    Failed,
    /// It will never start.
    Skipped,
}

impl StepState {
    const LETTERS: [(Self, char); 5] =
        [(Self::Waiting, 'w'), (Self::Started, 's'), (Self::Completed, 'c'), (Self::Failed, 'f'), (Self::Skipped, 'k')];

    /// As stored.
    #[must_use]
    pub fn letter(self) -> char {
        Self::LETTERS.into_iter().find(|(state, _)| *state == self).map_or('w', |(_, letter)| letter)
    }

    /// Reads [`Self::letter`].
    #[must_use]
    pub fn of_letter(letter: char) -> Option<Self> {
        Self::LETTERS.into_iter().find(|(_, known)| *known == letter).map(|(state, _)| state)
    }

    /// Whether its job may still end.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Started)
    }
}

/// A workflow under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// Its id; of the same form as a job's.
    pub id: JobId,
    /// How its steps follow each other.
    pub kind: Kind,
    /// The client's name for it.
    pub name: Option<String>,
    /// Which step of which workflow it is, when it is inside another.
    pub parent: Option<MemberOf>,
    /// How it is.
    pub state: WorkflowState,
    /// Its steps; of a group or batch they are in the shards, and `Started` here.
    pub steps: Vec<StepState>,
    /// Steps that have completed and whose results are kept for later ones; of a group or batch they are in the shards.
    pub results: Vec<usize>,
    /// Whether these have been given a time to live, since it has ended.
    pub results_expire: bool,
    /// Where its definition is cut: the first step of each part but the first. Empty where it is in one piece.
    pub cuts: Vec<usize>,
    /// Shards of a group or batch; 0 of others.
    pub shards: usize,
    /// Whether its first jobs may not all have been made.
    pub creating: bool,
    /// Whether the callbacks of a batch have been made, since it has ended.
    pub called_back: bool,
    /// Whether one that an outer workflow waits for has failed.
    pub callback_failed: bool,
    /// `traceparent` of the request that made the outermost one.
    pub trace: Option<String>,
    /// ms since the Unix epoch.
    pub created_at: i64,
    /// When it ended, ms since the Unix epoch.
    pub ended_at: Option<i64>,
    /// When a tick resumes it, ms since the Unix epoch.
    pub due_at: Option<i64>,
    /// Counts the writes.
    pub version: u64,
}

/// How many shards the steps of a group or batch are spread over.
#[must_use]
pub fn shards_of(steps: usize) -> usize {
    steps.div_ceil(PER_SHARD).clamp(1, MAX_SHARDS)
}

impl Workflow {
    /// A new one: its first steps are to be started.
    #[must_use]
    pub fn new(id: JobId, definition: &Definition, parent: Option<MemberOf>, now_ms: i64, due_at: i64) -> Self {
        let first = |step: &super::Step| if step.after.is_empty() { StepState::Started } else { StepState::Waiting };
        Self {
            id,
            kind: definition.kind,
            name: definition.name.clone(),
            parent,
            state: WorkflowState::Running,
            steps: definition.steps.iter().map(first).collect(),
            results: Vec::new(),
            results_expire: false,
            cuts: cuts_of(definition),
            shards: if definition.kind.is_flat() { shards_of(definition.steps.len()) } else { 0 },
            creating: true,
            called_back: false,
            callback_failed: false,
            trace: None,
            created_at: now_ms,
            ended_at: None,
            due_at: Some(due_at),
            version: 0,
        }
    }
}

/// The workflow once the job of step `index` has ended, at `now_ms`; and the steps that start now. `None` when that is noted
/// already.
#[must_use]
pub fn advance(
    workflow: &Workflow,
    definition: &Definition,
    index: usize,
    completed: bool,
    now_ms: i64,
) -> Option<(Workflow, Vec<usize>)> {
    let state = *workflow.steps.get(index)?;
    if !state.is_open() && state != StepState::Skipped {
        return None;
    }
    let mut next = workflow.clone();
    next.steps[index] = if completed { StepState::Completed } else { StepState::Failed };
    let mut starts = Vec::new();
    if next.state == WorkflowState::Running {
        // Steps come after those that they depend on, so one pass settles all.
        for at in 0..next.steps.len() {
            if next.steps[at] != StepState::Waiting {
                continue;
            }
            let before = definition.steps.get(at).map(|step| step.after.as_slice()).unwrap_or_default();
            let is = |wanted: &[StepState]| before.iter().any(|on| wanted.contains(&next.steps[*on]));
            if is(&[StepState::Failed, StepState::Skipped]) {
                next.steps[at] = StepState::Skipped;
            } else if !is(&[StepState::Waiting, StepState::Started]) {
                next.steps[at] = StepState::Started;
                starts.push(at);
            }
        }
        if !next.steps.iter().any(|step| step.is_open()) {
            let failed = next.steps.iter().any(|step| *step != StepState::Completed);
            next.state = if failed { WorkflowState::Failed } else { WorkflowState::Completed };
            next.ended_at = Some(now_ms);
        }
    }
    Some((next, starts))
}

/// The workflow cancelled at `now_ms`: what has not started never will. `None` when it has ended.
#[must_use]
pub fn cancel(workflow: &Workflow, now_ms: i64) -> Option<Workflow> {
    if workflow.state != WorkflowState::Running {
        return None;
    }
    let mut next = workflow.clone();
    next.state = WorkflowState::Cancelled;
    next.ended_at = Some(now_ms);
    for step in next.steps.iter_mut().filter(|step| **step == StepState::Waiting) {
        *step = StepState::Skipped;
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Ids;
    use crate::json::raw;
    use crate::workflow::{Step, Work};

    fn graph(after: &[&[usize]]) -> (Definition, Workflow) {
        let step = |after: &&[usize]| Step { name: None, work: Work::Job(raw("{}").unwrap()), after: after.to_vec() };
        let definition = Definition {
            kind: Kind::Graph,
            name: None,
            steps: after.iter().map(step).collect(),
            callbacks: Vec::new(),
        };
        let workflow = Workflow::new(Ids::new().job_id(1), &definition, None, 1, 2);
        (definition, workflow)
    }

    fn letters(workflow: &Workflow) -> String {
        workflow.steps.iter().map(|step| step.letter()).collect()
    }

    #[test]
    fn a_chain_goes_step_by_step_and_stops_at_a_failure() {
        let (definition, first) = graph(&[&[], &[0], &[1]]);
        assert_eq!(letters(&first), "sww");
        let (second, starts) = advance(&first, &definition, 0, true, 5).unwrap();
        assert_eq!((letters(&second).as_str(), starts, second.state), ("csw", vec![1], WorkflowState::Running));
        assert_eq!(advance(&second, &definition, 0, true, 6), None, "noted already");
        assert_eq!(advance(&second, &definition, 0, false, 6), None, "terminal is terminal");
        let (failed, starts) = advance(&second, &definition, 1, false, 7).unwrap();
        assert_eq!((letters(&failed).as_str(), starts), ("cfk", vec![]));
        assert_eq!((failed.state, failed.ended_at), (WorkflowState::Failed, Some(7)));
    }

    #[test]
    fn a_step_waits_for_all_that_it_depends_on() {
        let (definition, start) = graph(&[&[], &[], &[0, 1], &[2], &[1]]);
        assert_eq!(letters(&start), "sswww");
        let (one, starts) = advance(&start, &definition, 1, true, 5).unwrap();
        assert_eq!((letters(&one).as_str(), starts), ("scwws", vec![4]));
        let (two, starts) = advance(&one, &definition, 0, false, 5).unwrap();
        // What runs beside it goes on.
        assert_eq!((letters(&two).as_str(), starts, two.state), ("fckks", vec![], WorkflowState::Running));
        let (three, _) = advance(&two, &definition, 4, true, 9).unwrap();
        assert_eq!(three.state, WorkflowState::Failed);
    }

    #[test]
    fn a_cancelled_workflow_starts_nothing_more() {
        let (definition, start) = graph(&[&[], &[0]]);
        let cancelled = cancel(&start, 5).unwrap();
        assert_eq!((letters(&cancelled).as_str(), cancelled.state), ("sk", WorkflowState::Cancelled));
        let (after, starts) = advance(&cancelled, &definition, 0, true, 9).unwrap();
        assert_eq!((letters(&after).as_str(), starts, after.ended_at), ("ck", vec![], Some(5)));
        assert_eq!(cancel(&cancelled, 9), None);
    }

    #[test]
    fn letters_and_names_read_back() {
        for (state, letter) in StepState::LETTERS {
            assert_eq!((state.letter(), StepState::of_letter(letter)), (letter, Some(state)));
        }
        assert_eq!(WorkflowState::parse("running"), Some(WorkflowState::Running));
        assert_eq!((shards_of(1), shards_of(64), shards_of(65), shards_of(1_000)), (1, 1, 2, 16));
    }

    proptest! {
        /// Whatever the graph, the order of ends and the outcomes: each step starts once, none before its parents completed, and
        /// the workflow ends when, and only when, nothing is left.
        #[test]
        fn every_graph_ends(
            edges in proptest::collection::vec(proptest::collection::vec(any::<prop::sample::Index>(), 0..3), 1..12),
            order in proptest::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.8)), 40),
        ) {
            let after: Vec<Vec<usize>> = edges
                .iter()
                .enumerate()
                .map(|(at, on)| if at == 0 { vec![] } else { on.iter().map(|i| i.index(at)).collect() })
                .collect();
            let slices: Vec<&[usize]> = after.iter().map(Vec::as_slice).collect();
            let (definition, mut workflow) = graph(&slices);
            let mut running: Vec<usize> =
                (0..after.len()).filter(|at| workflow.steps[*at] == StepState::Started).collect();
            let mut started = running.len();
            for (pick, completed) in order {
                if running.is_empty() {
                    break;
                }
                let index = running.swap_remove(pick.index(running.len()));
                let (next, starts) = advance(&workflow, &definition, index, completed, 5).unwrap();
                for at in &starts {
                    prop_assert!(after[*at].iter().all(|on| next.steps[*on] == StepState::Completed));
                }
                started += starts.len();
                running.extend(starts);
                prop_assert_eq!(next.state == WorkflowState::Running, !running.is_empty());
                workflow = next;
            }
            let ended = workflow.steps.iter().filter(|step| **step != StepState::Skipped).count();
            prop_assert!(running.is_empty() && started == ended);
        }
    }
}
