//! Which results a step gets, and which are kept for it (workflows section 7).

use serde_json::{Value, json};

use super::{Definition, Kind, StepState, Workflow, job_id, shards_of};
use crate::ids::JobId;
use crate::job::{Inside, Keep, Parents, Source};

/// Whether the result of step `index` is kept; from the number of steps on, of a callback, which no step takes anything from.
#[must_use]
pub fn keep_of(workflow: &Workflow, definition: &Definition, index: usize) -> Keep {
    let steps = definition.steps.len();
    if index >= steps {
        return Keep::Never;
    }
    let is_taken = match definition.kind {
        Kind::Chain => index + 1 < steps,
        Kind::Graph => definition.steps.iter().any(|step| step.after.contains(&index)),
        Kind::Batch => true,
        Kind::Group => false,
    };
    match (workflow.parent.is_some(), is_taken) {
        (true, _) => Keep::Always,
        (false, true) => Keep::IfAny,
        (false, false) => Keep::Never,
    }
}

/// A job whose result a later job gets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// Its workflow.
    pub workflow: JobId,
    /// Shards of its workflow.
    pub shards: usize,
    /// Its step.
    pub index: usize,
    /// Whether its result was kept: if it is not there, it is gone.
    pub is_kept: bool,
}

/// Why a result is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It was kept, and is there no more.
    Gone,
    /// The answer has no room for it.
    NoRoom,
}

impl Missing {
    /// What stands in the place of the result of step `index` of `workflow`.
    #[must_use]
    pub fn mark(self, workflow: &JobId, index: usize) -> Value {
        let reason = match self {
            Self::Gone => "gone",
            Self::NoRoom => "no_room",
        };
        json!({"$missing": {"step": index, "job_id": job_id(workflow, index).as_str(), "reason": reason}})
    }
}

/// Whose results step `index` gets, as its workflow has noted the ends of the steps before: of a chain all of them, of a graph
/// those that the step depends on, of a batch all, for its callbacks. `None` where none comes before.
#[must_use]
pub fn parents_of(workflow: &Workflow, definition: &Definition, index: usize) -> Option<Parents> {
    let before: Vec<usize> = match (definition.kind, definition.steps.get(index)) {
        (Kind::Chain, _) => (0..index).collect(),
        (_, Some(step)) => step.after.clone(),
        (_, None) => (0..definition.steps.len()).collect(),
    };
    if before.is_empty() {
        return None;
    }
    let mut sources = Vec::new();
    for at in before {
        let completed = workflow.steps.get(at) == Some(&StepState::Completed);
        match definition.nested(at) {
            Some(nested) => sources.push(Source::Inside(Box::new(inside_of(at, nested, completed)))),
            None if workflow.results.contains(&at) => push_job(&mut sources, at),
            None => push_nothing(&mut sources),
        }
    }
    Some(Parents { workflow: None, shards: workflow.shards, sources })
}

/// The jobs whose results are asked for, in order; `own`: the workflow of the job that gets them.
#[must_use]
pub fn leaves_of(parents: &Parents, own: &JobId) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let workflow = parents.workflow.as_ref().unwrap_or(own);
    add_leaves(&parents.sources, workflow, parents.shards, true, &mut leaves);
    leaves
}

/// The JSON array of them, with the `results` of the leaves in their order.
pub fn render(parents: &Parents, results: &mut dyn Iterator<Item = String>) -> String {
    format!("[{}]", rendered(&parents.sources, results))
}

fn inside_of(step: usize, nested: &Definition, completed: bool) -> Inside {
    let steps = nested.steps.len();
    let is_chain = nested.kind == Kind::Chain;
    let mut sources = Vec::new();
    for at in if is_chain { steps.saturating_sub(1)..steps } else { 0..steps } {
        match nested.nested(at) {
            Some(inner) => sources.push(Source::Inside(Box::new(inside_of(at, inner, completed)))),
            None => push_job(&mut sources, at),
        }
    }
    Inside { step, shards: if nested.kind.is_flat() { shards_of(steps) } else { 0 }, is_chain, completed, sources }
}

fn push_job(sources: &mut Vec<Source>, at: usize) {
    match sources.last_mut() {
        Some(Source::Jobs(_, last)) if *last + 1 == at => *last = at,
        _ => sources.push(Source::Jobs(at, at)),
    }
}

fn push_nothing(sources: &mut Vec<Source>) {
    match sources.last_mut() {
        Some(Source::Nothing(count)) => *count += 1,
        _ => sources.push(Source::Nothing(1)),
    }
}

fn add_leaves(sources: &[Source], workflow: &JobId, shards: usize, is_kept: bool, leaves: &mut Vec<Leaf>) {
    for source in sources {
        match source {
            Source::Jobs(first, last) => {
                let of = |index| Leaf { workflow: workflow.clone(), shards, index, is_kept };
                leaves.extend((*first..=*last).map(of));
            }
            Source::Nothing(_) => {}
            Source::Inside(inside) => {
                let id = job_id(workflow, inside.step);
                add_leaves(&inside.sources, &id, inside.shards, is_kept && inside.completed, leaves);
            }
        }
    }
}

fn rendered(sources: &[Source], results: &mut dyn Iterator<Item = String>) -> String {
    let mut values = Vec::new();
    for source in sources {
        match source {
            Source::Jobs(first, last) => {
                values.extend((*first..=*last).map(|_| results.next().unwrap_or_else(|| "null".to_owned())));
            }
            Source::Nothing(count) => values.extend(std::iter::repeat_n("null".to_owned(), *count)),
            Source::Inside(inside) if inside.is_chain => values.push(rendered(&inside.sources, results)),
            Source::Inside(inside) => values.push(format!("[{}]", rendered(&inside.sources, results))),
        }
    }
    values.join(",")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Ids;
    use crate::json::Fields;
    use crate::workflow::parse_workflow;

    fn workflow(body: &Value) -> (Definition, Workflow) {
        let ids = Ids::new();
        let fields = Fields::from_body(body.to_string().as_bytes()).unwrap();
        let definition = parse_workflow(fields, 1, &ids).unwrap();
        let workflow = Workflow::new(ids.job_id(1), &definition, None, 1, 2);
        (definition, workflow)
    }

    fn job() -> Value {
        json!({"type": "a", "args": []})
    }

    #[test]
    fn results_have_the_shape_of_the_workflow() {
        let chain = json!({"type": "chain", "steps": [job(), job()]});
        let group = json!({"type": "group", "jobs": [chain, job()]});
        let (definition, mut outer) = workflow(&json!({"type": "chain", "steps": [job(), group, job(), job()]}));
        assert_eq!(parents_of(&outer, &definition, 0), None);
        for completed in [true, false] {
            outer.steps[1] = if completed { StepState::Completed } else { StepState::Failed };
            let parents = parents_of(&outer, &definition, 3).unwrap();
            let stored = serde_json::to_string(&parents).unwrap();
            assert_eq!(serde_json::from_str::<Parents>(&stored).unwrap(), parents);
            let group = job_id(&outer.id, 1);
            let leaf = |workflow, shards, index| Leaf { workflow, shards, index, is_kept: completed };
            let wanted = [leaf(job_id(&group, 0), 0, 1), leaf(group, 1, 1)];
            assert_eq!(leaves_of(&parents, &outer.id), wanted);
            let elsewhere = parents.clone().of_workflow(&outer.id);
            assert_eq!(leaves_of(&elsewhere, &Ids::new().job_id(1)), wanted);
            let mut results = ["1", "2"].map(str::to_owned).into_iter();
            assert_eq!(render(&parents, &mut results), "[null,[1,2],null]");
        }
    }

    #[test]
    fn a_long_chain_is_a_few_bytes() {
        let (definition, mut chain) = workflow(&json!({"type": "chain", "steps": vec![job(); 200]}));
        chain.results = (0..199).filter(|at| *at != 7).collect();
        let parents = parents_of(&chain, &definition, 199).unwrap();
        assert_eq!(serde_json::to_string(&parents).unwrap(), r#"{"s":[{"j":[0,6]},{"n":1},{"j":[8,198]}]}"#);
        assert_eq!(leaves_of(&parents, &chain.id).len(), 198);
    }

    #[test]
    fn only_what_a_later_step_takes_is_kept() {
        let graph = json!({"steps": [
            {"id": "a", "type": "a", "args": []}, {"id": "b", "type": "b", "args": [], "depends_on": ["a"]},
        ]});
        let batch = json!({"type": "batch", "jobs": [job(), job()], "callbacks": {"on_complete": job()}});
        for (body, wanted) in [
            (json!({"type": "chain", "steps": [job(), job()]}), [Keep::IfAny, Keep::Never]),
            (json!({"type": "group", "jobs": [job(), job()]}), [Keep::Never; 2]),
            (graph, [Keep::IfAny, Keep::Never]),
            (batch, [Keep::IfAny; 2]),
        ] {
            let (definition, mut workflow) = workflow(&body);
            assert_eq!([0, 1].map(|at| keep_of(&workflow, &definition, at)), wanted, "{body}");
            assert_eq!(keep_of(&workflow, &definition, 2), Keep::Never, "a callback");
            workflow.parent = Some(definition.member(&workflow, 0));
            assert_eq!([0, 1].map(|at| keep_of(&workflow, &definition, at)), [Keep::Always; 2], "{body}");
        }
    }
}
