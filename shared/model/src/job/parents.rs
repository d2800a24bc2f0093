//! Which results a job gets (workflows section 7): stored with the job by reference, a few bytes whatever the results' size.

use serde::{Deserialize, Serialize};

use crate::ids::JobId;

/// Whether a job's result is kept for later steps, in an item of its own, once it has completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// No step takes it.
    Never,
    /// If it has one.
    IfAny,
    /// Also the fact that it has none: what takes it does not know.
    Always,
}

/// Whose results a job gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parents {
    /// The workflow whose steps these are; the job's own when `None`.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<JobId>,
    /// Shards of that workflow.
    #[serde(rename = "h", default, skip_serializing_if = "is_zero")]
    pub shards: usize,
    /// What there is, in order.
    #[serde(rename = "s")]
    pub sources: Vec<Source>,
}

impl Parents {
    /// The same for a job of another workflow than `workflow`, whose steps these are unless it says otherwise.
    #[must_use]
    pub fn of_workflow(mut self, workflow: &JobId) -> Self {
        self.workflow.get_or_insert_with(|| workflow.clone());
        self
    }
}

/// Some of them, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Of the jobs from one step to another, both included.
    #[serde(rename = "j")]
    Jobs(usize, usize),
    /// Of so many jobs that had none, or failed.
    #[serde(rename = "n")]
    Nothing(usize),
    /// Of a workflow inside.
    #[serde(rename = "i")]
    Inside(Box<Inside>),
}

/// A workflow inside, as a source of results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// The step that it is.
    #[serde(rename = "a")]
    pub step: usize,
    /// Its shards.
    #[serde(rename = "h", default, skip_serializing_if = "is_zero")]
    pub shards: usize,
    /// Whether its result is that of its last step, and not an array of all.
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_chain: bool,
    /// Whether it completed: then all its jobs did.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub completed: bool,
    /// What it has, in order.
    #[serde(rename = "s")]
    pub sources: Vec<Source>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
