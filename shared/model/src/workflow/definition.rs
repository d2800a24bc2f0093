use serde::{Deserialize, Serialize};

use super::keep_of;
use crate::error::{Error, Result};
use crate::ids::{Ids, JobId};
use crate::job::{Job, parse_enqueue};
use crate::job::{MemberOf, MemberRole};
use crate::json::{Fields, Json};

/// How the steps follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One after the other.
    Chain,
    /// All at once.
    Group,
    /// All at once, and callbacks when all have ended.
    Batch,
    /// Each after those that it depends on.
    Graph,
}

impl Kind {
    /// Its name in requests and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Group => "group",
            Self::Batch => "batch",
            Self::Graph => "graph",
        }
    }

    /// Whether its steps depend on nothing, so that they are all started at once.
    #[must_use]
    pub fn is_flat(self) -> bool {
        matches!(self, Self::Group | Self::Batch)
    }
}

/// One step.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "StoredStep", into = "StoredStep")]
pub struct Step {
    /// The client's name for it.
    pub name: Option<String>,
    /// What is to be done.
    pub work: Work,
    /// The steps that must have completed before it starts, by index.
    pub after: Vec<usize>,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Work {
    /// A job: its request.
    Job(Json),
    /// A workflow inside this one (workflows section 10).
    Workflow(Box<Definition>),
    /// A job whose request has not been read.
    Unread,
}

/// A step as stored: it has one of `job` and `workflow`.
#[derive(Serialize, Deserialize)]
struct StoredStep {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow: Option<Box<Definition>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    after: Vec<usize>,
}

impl From<Step> for StoredStep {
    fn from(step: Step) -> Self {
        let (job, workflow) = match step.work {
            Work::Job(job) => (Some(job), None),
            Work::Workflow(workflow) => (None, Some(workflow)),
            Work::Unread => (None, None),
        };
        Self { name: step.name, job, workflow, after: step.after }
    }
}

impl TryFrom<StoredStep> for Step {
    type Error = &'static str;

    fn try_from(stored: StoredStep) -> std::result::Result<Self, Self::Error> {
        let work = match (stored.job, stored.workflow) {
            (Some(job), None) => Work::Job(job),
            (None, Some(workflow)) => Work::Workflow(workflow),
            _ => return Err("a step has a job or a workflow"),
        };
        Ok(Self { name: stored.name, work, after: stored.after })
    }
}

/// When a callback of a batch is made (workflows section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// When all jobs have ended, however they did.
    OnComplete,
    /// When all have completed.
    OnSuccess,
    /// When all have ended and not all of them completed.
    OnFailure,
}

impl When {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OnComplete, Self::OnSuccess, Self::OnFailure];

    /// Its name in requests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnComplete => "on_complete",
            Self::OnSuccess => "on_success",
            Self::OnFailure => "on_failure",
        }
    }

    /// Whether it is made, now that all jobs have ended.
    #[must_use]
    pub fn holds(self, failed: bool) -> bool {
        match self {
            Self::OnComplete => true,
            Self::OnSuccess => !failed,
            Self::OnFailure => failed,
        }
    }
}

/// A job that follows a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Callback {
    /// When it is made.
    pub when: When,
    /// The request of its job.
    pub job: Json,
}

/// A workflow as it was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Definition {
    /// How its steps follow each other.
    pub kind: Kind,
    /// The client's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its steps, in the client's order.
    pub steps: Vec<Step>,
    /// Callbacks of a batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callbacks: Vec<Callback>,
}

impl Definition {
    /// A chain of `steps` jobs, of which only those from `first` on have been read.
    #[must_use]
    pub fn part_of_chain(steps: usize, first: usize, read: Vec<Step>) -> Self {
        let unread =
            |at: usize| Step { name: None, work: Work::Unread, after: at.checked_sub(1).into_iter().collect() };
        let mut all: Vec<Step> = (0..steps).map(unread).collect();
        for (place, step) in all.iter_mut().skip(first).zip(read) {
            *place = step;
        }
        Self { kind: Kind::Chain, name: None, steps: all, callbacks: Vec::new() }
    }

    /// The workflow that a step is; `None` when it is a job.
    #[must_use]
    pub fn nested(&self, index: usize) -> Option<&Definition> {
        match &self.steps.get(index)?.work {
            Work::Workflow(nested) => Some(nested),
            Work::Job(_) | Work::Unread => None,
        }
    }

    /// The job of a step, or (from `steps.len()` on) of a callback, as it is made at `now_ms`.
    ///
    /// # Errors
    /// Those of an enqueue, which the definition did not have when it was accepted; `internal_error` for a step that is a workflow.
    pub fn job(&self, workflow: &super::Workflow, index: usize, now_ms: i64, ids: &Ids) -> Result<Job> {
        let request = match self.steps.get(index).map(|step| &step.work) {
            Some(Work::Job(request)) => Some(request),
            Some(Work::Workflow(_) | Work::Unread) => None,
            None => self.callbacks.get(index - self.steps.len()).map(|callback| &callback.job),
        };
        let request = request.ok_or_else(|| Error::internal("a workflow without this step"))?;
        let mut job = parse_enqueue(Fields::from_request(request)?, now_ms, ids)?.job;
        job.id = super::job_id(&workflow.id, index);
        job.member_of = Some(self.member(workflow, index));
        job.keeps_result = keep_of(workflow, self, index);
        Ok(job)
    }

    /// Which member of a workflow a step is; from `steps.len()` on, a callback.
    #[must_use]
    pub fn member(&self, workflow: &super::Workflow, index: usize) -> MemberOf {
        let role = match (index < self.steps.len(), &workflow.parent) {
            (true, _) => MemberRole::Step { shards: workflow.shards },
            (false, None) => MemberRole::Callback,
            (false, Some(_)) => MemberRole::AwaitedCallback,
        };
        MemberOf { workflow: workflow.id.clone(), index, role }
    }

    /// Ids of the steps that are jobs, or (`nested`) workflows.
    #[must_use]
    pub fn ids(&self, workflow: &JobId, nested: bool) -> Vec<JobId> {
        let steps = (0..self.steps.len()).filter(|index| self.nested(*index).is_some() == nested);
        steps.map(|index| super::job_id(workflow, index)).collect()
    }

    /// Callbacks that are made when all jobs have ended, by their place behind the steps.
    #[must_use]
    pub fn callbacks_after(&self, failed: bool) -> Vec<usize> {
        let callbacks = self.callbacks.iter().enumerate().filter(|(_, callback)| callback.when.holds(failed));
        callbacks.map(|(at, _)| self.steps.len() + at).collect()
    }
}
