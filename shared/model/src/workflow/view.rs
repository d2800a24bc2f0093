use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::{Definition, Kind, Missing, StepState, When, Work, Workflow, WorkflowState, job_id};
use crate::job::Job;
use crate::json::Fields;
use crate::time::format_ms;

/// A step, and its job where that has been read.
#[derive(Debug, Clone)]
pub struct StepView {
    /// As far as the workflow has noted.
    pub state: StepState,
    /// Its job, settled.
    pub job: Option<Job>,
    /// The workflow that it is.
    pub nested: Option<Workflow>,
    /// Why its result is not shown, where it has one.
    pub missing: Option<Missing>,
}

impl StepView {
    /// One of which no more than `state` is known.
    #[must_use]
    pub fn noted(state: StepState) -> Self {
        Self { state, job: None, nested: None, missing: None }
    }
}

/// A workflow on the wire, in the suites' shape and the HTTP binding's (section 14.2).
#[derive(Debug, Clone)]
pub struct Shown {
    /// What was asked for.
    pub definition: Definition,
    /// How far it is.
    pub workflow: Workflow,
    /// Its steps.
    pub steps: Vec<StepView>,
    /// The jobs of its callbacks, in the definition's order and as of now; `None` for one that is not stored.
    pub callbacks: Vec<Option<Job>>,
}

impl Shown {
    fn count(&self, wanted: impl Fn(StepState) -> bool) -> usize {
        self.steps.iter().filter(|step| wanted(step.state)).count()
    }

    /// What a callback did, beside `state`, which says only what the members did (HTTP binding section 14.2; workflows section
    /// 8.3 counts the callbacks in).
    fn callback(&self, at: usize, when: When) -> Value {
        let workflow = &self.workflow;
        let wanted = match workflow.state {
            WorkflowState::Running => return json!({"job_id": null, "state": "pending"}),
            WorkflowState::Cancelled => false,
            WorkflowState::Completed | WorkflowState::Failed => when.holds(workflow.state == WorkflowState::Failed),
        };
        if !wanted {
            return json!({"job_id": null, "state": "skipped"});
        }
        let state = match self.callbacks.get(at) {
            Some(Some(job)) => job.state.as_str(),
            // The request that ended the workflow is about to make it, or has crashed; a redelivery or a tick makes it.
            _ if !workflow.called_back => "pending",
            _ => "deleted",
        };
        json!({"job_id": job_id(&workflow.id, self.definition.steps.len() + at).as_str(), "state": state})
    }

    fn step(&self, index: usize) -> Value {
        let (step, view) = (&self.definition.steps[index], &self.steps[index]);
        let started = view.state != StepState::Waiting && view.state != StepState::Skipped;
        let kind = match &step.work {
            Work::Workflow(nested) => Some(nested.kind.as_str().to_owned()),
            Work::Unread => None,
            Work::Job(request) => {
                Fields::from_request(request).and_then(|mut job| job.take_string("type")).ok().flatten()
            }
        };
        let nested = matches!(step.work, Work::Workflow(_));
        let state = match (&view.job, &view.nested, view.state) {
            (.., StepState::Waiting) => "pending",
            (.., StepState::Skipped) => "cancelled",
            (.., StepState::Completed) => "completed",
            (Some(job), ..) => job.state.as_str(),
            (_, Some(inner), StepState::Failed) if inner.state == WorkflowState::Cancelled => "cancelled",
            // Of a batch the callbacks may still run.
            (None, _, StepState::Started) => {
                if nested {
                    "running"
                } else {
                    "available"
                }
            }
            (None, _, StepState::Failed) => {
                if nested {
                    "failed"
                } else {
                    "discarded"
                }
            }
        };
        let id = job_id(&self.workflow.id, index);
        let id = if started { Value::from(id.as_str()) } else { Value::Null };
        let mut shown = json!({"index": index, "type": kind, "state": state});
        shown[if nested { "workflow_id" } else { "job_id" }] = id;
        if let Some(name) = &step.name {
            shown["name"] = Value::from(name.as_str());
        }
        if self.definition.kind == Kind::Graph {
            let names = step.after.iter().filter_map(|on| self.definition.steps[*on].name.as_deref());
            shown["depends_on"] = names.map(Value::from).collect();
            shown["id"] = step.name.as_deref().map_or(Value::Null, Value::from);
        }
        if let Some(inner) = &view.nested {
            shown["started_at"] = Value::from(format_ms(inner.created_at));
            if let Some(at) = inner.ended_at.filter(|_| !view.state.is_open()) {
                shown["completed_at"] = Value::from(format_ms(at));
            }
        }
        if let Some(job) = &view.job {
            for (name, at) in [("started_at", job.started_at), ("completed_at", job.completed_at)] {
                if let Some(at) = at {
                    shown[name] = Value::from(format_ms(at));
                }
            }
            if let Some(result) = &job.result {
                shown["result"] = serde_json::from_str(result.get()).unwrap_or(Value::Null);
            }
        }
        if let Some(missing) = view.missing {
            shown["result"] = missing.mark(&self.workflow.id, index);
        }
        shown
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (workflow, kind) = (&self.workflow, self.definition.kind);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", workflow.id.as_str())?;
        map.serialize_entry("type", kind.as_str())?;
        map.serialize_entry("name", &self.definition.name)?;
        if let Some(parent) = &workflow.parent {
            map.serialize_entry("parent_workflow_id", parent.workflow.as_str())?;
        }
        map.serialize_entry("state", workflow.state.as_str())?;
        map.serialize_entry("created_at", &format_ms(workflow.created_at))?;
        if let Some(at) = workflow.ended_at {
            let name = if workflow.state == WorkflowState::Cancelled { "cancelled_at" } else { "completed_at" };
            map.serialize_entry(name, &format_ms(at))?;
        }
        let (noun, total) = (if kind.is_flat() { "jobs" } else { "steps" }, self.steps.len());
        map.serialize_entry(&format!("{noun}_total"), &total)?;
        map.serialize_entry(&format!("{noun}_completed"), &self.count(|state| state == StepState::Completed))?;
        map.serialize_entry(&format!("{noun}_failed"), &self.count(|state| state == StepState::Failed))?;
        if workflow.state == WorkflowState::Cancelled {
            map.serialize_entry("steps_cancelled", &self.count(|state| state != StepState::Completed))?;
            map.serialize_entry("steps_already_completed", &self.count(|state| state == StepState::Completed))?;
        }
        let steps: Vec<Value> = (0..total).map(|index| self.step(index)).collect();
        map.serialize_entry(noun, &steps)?;
        if !self.definition.callbacks.is_empty() {
            let callbacks: serde_json::Map<String, Value> = (self.definition.callbacks.iter().enumerate())
                .map(|(at, callback)| (callback.when.as_str().to_owned(), self.callback(at, callback.when)))
                .collect();
            map.serialize_entry("callbacks", &callbacks)?;
        }
        map.end()
    }
}
