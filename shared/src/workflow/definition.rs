use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ids::{Ids, JobId};
use crate::job::{Job, parse_enqueue};
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
pub struct Step {
    /// The client's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The request of its job.
    pub job: Json,
    /// The steps that must have completed before it starts, by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<usize>,
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
    /// The job of a step, or (from `steps.len()` on) of a callback, as it is made at `now_ms`.
    ///
    /// # Errors
    /// Those of an enqueue, which the definition did not have when it was accepted.
    pub fn job(&self, workflow: &super::Workflow, index: usize, now_ms: i64, ids: &Ids) -> Result<Job> {
        let request = match self.steps.get(index) {
            Some(step) => &step.job,
            None => {
                let callback = self.callbacks.get(index - self.steps.len());
                &callback.ok_or_else(|| Error::internal("a workflow without this step"))?.job
            }
        };
        let mut job = parse_enqueue(Fields::from_request(request)?, now_ms, ids)?.job;
        job.id = super::job_id(&workflow.id, workflow.created_at, index);
        let shards = (index < self.steps.len()).then_some(workflow.shards);
        job.member_of = Some(super::MemberOf { workflow: workflow.id.clone(), index, shards });
        Ok(job)
    }

    /// Ids of the steps' jobs.
    #[must_use]
    pub fn job_ids(&self, workflow: &super::Workflow) -> Vec<JobId> {
        (0..self.steps.len()).map(|index| super::job_id(&workflow.id, workflow.created_at, index)).collect()
    }
}
