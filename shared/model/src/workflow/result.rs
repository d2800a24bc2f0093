use super::{Definition, Kind, job_id};
use crate::ids::JobId;

/// Where the result of a step comes from (workflows section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A job's result.
    Job(JobId),
    /// An array of these.
    List(Vec<Source>),
}

impl Source {
    /// Where the result of step `index` of `workflow` comes from. The result of a chain inside it is that of its last step; of any
    /// other workflow inside it an array of its members' results, in their order.
    #[must_use]
    pub fn of(workflow: &JobId, definition: &Definition, index: usize) -> Self {
        let id = job_id(workflow, index);
        match definition.nested(index) {
            None => Self::Job(id),
            Some(chain) if chain.kind == Kind::Chain => Self::of(&id, chain, chain.steps.len().saturating_sub(1)),
            Some(nested) => Self::List((0..nested.steps.len()).map(|at| Self::of(&id, nested, at)).collect()),
        }
    }

    /// All jobs, in order.
    pub fn jobs(&self, into: &mut Vec<JobId>) {
        match self {
            Self::Job(id) => into.push(id.clone()),
            Self::List(sources) => sources.iter().for_each(|source| source.jobs(into)),
        }
    }

    /// The JSON of it, with the jobs' `results` in their order; `null` where there is none left.
    pub fn render(&self, results: &mut impl Iterator<Item = String>) -> String {
        match self {
            Self::Job(_) => results.next().unwrap_or_else(|| "null".to_owned()),
            Self::List(sources) => {
                let rendered: Vec<String> = sources.iter().map(|source| source.render(results)).collect();
                format!("[{}]", rendered.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Ids;
    use crate::json::Fields;
    use crate::workflow::parse_workflow;

    #[test]
    fn results_have_the_shape_of_the_workflow() {
        let job = r#"{"type":"a","args":[]}"#;
        let chain = format!(r#"{{"type":"chain","steps":[{job},{job}]}}"#);
        let body = format!(r#"{{"type":"chain","steps":[{job},{{"type":"group","jobs":[{chain},{job}]}},{job}]}}"#);
        let ids = Ids::new();
        let definition = parse_workflow(Fields::from_body(body.as_bytes()).unwrap(), 1, &ids).unwrap();
        let workflow = ids.job_id(1);
        let group = job_id(&workflow, 1);
        let source = Source::of(&workflow, &definition, 1);
        let mut jobs = Vec::new();
        source.jobs(&mut jobs);
        assert_eq!(jobs, [job_id(&job_id(&group, 0), 1), job_id(&group, 1)]);
        let mut results = ["1".to_owned()].into_iter();
        assert_eq!(source.render(&mut results), "[1,null]");
    }
}
