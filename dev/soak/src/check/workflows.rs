//! Workflows: each ends, in its order, and each callback has run or been skipped as its members ended.

use serde_json::Value;

use super::ends::is_terminal;
use super::{Violation, World, violation};
use crate::time::ms_of;

const RULE: &str = "workflows";

pub(super) fn check(world: &World) -> Vec<Violation> {
    let mut found = Vec::new();
    for (id, workflow) in &world.workflows {
        for what in one(workflow, world) {
            found.push(violation(RULE, format!("{} {id} ({}): {what}", workflow["type"], workflow["name"])));
        }
    }
    found
}

fn one(workflow: &Value, world: &World) -> Vec<String> {
    let state = workflow["state"].as_str().unwrap_or_default();
    if !["completed", "failed", "cancelled"].contains(&state) {
        return vec![format!("is {state} at the end")];
    }
    let mut found = Vec::new();
    let steps = members(workflow);
    let states: Vec<&str> = steps.iter().filter_map(|step| step["state"].as_str()).collect();
    let done = states.iter().filter(|state| **state == "completed").count();
    if state == "completed" && done < states.len() {
        found.push(format!("is completed with steps {states:?}"));
    }
    if state == "failed" && !states.is_empty() && done == states.len() {
        found.push("is failed with all steps completed".to_owned());
    }
    if workflow["type"] == "chain" {
        found.extend(out_of_order(&steps, world));
    }
    if state != "cancelled" {
        found.extend(callbacks(&workflow["callbacks"], state == "completed"));
    }
    found
}

fn members(workflow: &Value) -> Vec<&Value> {
    let steps = ["steps", "jobs"].iter().find_map(|field| workflow[*field].as_array());
    steps.into_iter().flatten().collect()
}

/// A step of a chain starts when the one before has completed.
fn out_of_order(steps: &[&Value], world: &World) -> Vec<String> {
    let job = |step: &Value| step["job_id"].as_str().and_then(|id| world.jobs.get(id));
    let mut found = Vec::new();
    for two in steps.windows(2) {
        let [before, after] = two else { continue };
        let (Some(before), Some(after)) = (job(before), job(after)) else { continue };
        let Some(started) = ms_of(&after["started_at"]) else { continue };
        if ms_of(&before["completed_at"]).is_none_or(|ended| started < ended) {
            found.push(format!("step {} started before {} had completed", after["id"], before["id"]));
        }
    }
    found
}

fn callbacks(callbacks: &Value, completed: bool) -> Vec<String> {
    let expected = [("on_complete", true), ("on_success", completed), ("on_failure", !completed)];
    let mut found = Vec::new();
    for (name, runs) in expected {
        let state = &callbacks[name]["state"];
        if state.is_null() {
            continue;
        }
        if runs && !is_terminal(state) || !runs && state != "skipped" {
            found.push(format!("callback {name} is {state}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::at;
    use super::*;

    fn found(workflow: Value) -> usize {
        let jobs = [
            ("a".to_owned(), json!({"id": "a", "completed_at": at(2_000)})),
            ("b".to_owned(), json!({"id": "b", "started_at": at(1_500)})),
        ];
        let workflows = [("w".to_owned(), workflow)].into();
        check(&World { jobs: jobs.into(), workflows, ..World::default() }).len()
    }

    #[test]
    fn workflows_that_do_not_end_or_end_wrongly_are_found() {
        let step = |state: &str| json!({"state": state});
        assert_eq!(found(json!({"state": "running"})), 1);
        assert_eq!(found(json!({"state": "completed", "jobs": [step("completed")]})), 0);
        assert_eq!(found(json!({"state": "completed", "jobs": [step("available")]})), 1);
        assert_eq!(found(json!({"state": "failed", "jobs": [step("completed")]})), 1);
    }

    #[test]
    fn steps_out_of_order_and_callbacks_that_did_not_run_are_found() {
        let steps = json!([{"job_id": "a", "state": "completed"}, {"job_id": "b", "state": "completed"}]);
        assert_eq!(found(json!({"type": "chain", "state": "completed", "steps": steps})), 1);
        let with = |success: &str, failure: &str| {
            json!({"state": "completed", "jobs": [], "callbacks": {
                "on_complete": {"state": "completed"}, "on_success": {"state": success}, "on_failure": {"state": failure},
            }})
        };
        assert_eq!(found(with("discarded", "skipped")), 0);
        assert_eq!(found(with("pending", "skipped")), 1);
        assert_eq!(found(with("completed", "completed")), 1);
    }
}
