//! I1, every job that was promised ends, and I4, what has ended stays as it ended.

use std::collections::HashMap;

use serde_json::Value;

use super::{Violation, World, promised, promised_workflows, violation};
use crate::drain::TERMINAL;
use crate::history::Call;

pub(super) fn check(world: &World) -> Vec<Violation> {
    let mut found = lost(world);
    found.extend(changed(world));
    found
}

fn lost(world: &World) -> Vec<Violation> {
    let mut found = Vec::new();
    for id in promised(&world.calls) {
        if !world.jobs.contains_key(&id) {
            found.push(violation("I1 nothing lost", format!("job {id} was answered with 201 and is not there")));
        }
    }
    for id in promised_workflows(&world.calls) {
        if !world.workflows.contains_key(&id) {
            found.push(violation("I1 nothing lost", format!("workflow {id} was answered with 201 and is not there")));
        }
    }
    // Also those of requests without an answer: what is there must end.
    for (id, job) in world.jobs.iter().filter(|(id, _)| !world.ghosts.contains(*id)) {
        if !is_terminal(&job["state"]) {
            found.push(violation("I1 nothing lost", format!("job {id} never ended: {}", shown(job))));
        }
    }
    found
}

/// A terminal state that an answer showed is the last one.
fn changed(world: &World) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut ended: HashMap<&str, &str> = HashMap::new();
    for call in world.calls.iter().filter(|call| call.ok()) {
        let Some((id, state)) = end_shown(call) else { continue };
        let before = *ended.entry(id).or_insert(state);
        if before != state {
            let what = format!("job {id} was {before}, then {state} ({} {})", call.method, call.path);
            found.push(violation("I4 terminal is terminal", what));
        }
    }
    for (id, state) in &ended {
        let now = world.jobs.get(*id).map_or("gone", |job| job["state"].as_str().unwrap_or_default());
        if now != *state {
            found.push(violation("I4 terminal is terminal", format!("job {id} was {state} and is {now}")));
        }
    }
    found
}

/// The job that an answer shows as ended, and how.
fn end_shown(call: &Call) -> Option<(&str, &str)> {
    let (id, state) = match (call.method, call.path.as_str()) {
        ("POST", "workers/ack" | "workers/nack") => (&call.body["job_id"], &call.answer["state"]),
        ("GET" | "DELETE", path) if path.starts_with("jobs/") => {
            (&call.answer["job"]["id"], &call.answer["job"]["state"])
        }
        _ => return None,
    };
    Some((id.as_str()?, state.as_str().filter(|state| TERMINAL.contains(state))?))
}

pub(super) fn is_terminal(state: &Value) -> bool {
    state.as_str().is_some_and(|state| TERMINAL.contains(&state))
}

/// What helps to find out why.
fn shown(job: &Value) -> String {
    let fields = ["type", "queue", "state", "attempt", "created_at", "started_at", "lease_expires_at", "workflow_id"];
    let told: Vec<String> = fields.iter().filter(|f| !job[**f].is_null()).map(|f| format!("{f} {}", job[*f])).collect();
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::call;
    use super::*;

    fn world(state: &str) -> World {
        let made = call("jobs", 0, json!({}), 201, json!({"job": {"id": "a"}}));
        let acked = call("workers/ack", 50, json!({"job_id": "a"}), 200, json!({"state": "completed"}));
        let jobs = HashMap::from([("a".to_owned(), json!({"state": state}))]);
        World { calls: vec![made, acked], jobs, ..World::default() }
    }

    #[test]
    fn a_job_that_ends_as_it_was_answered_is_fine() {
        assert!(check(&world("completed")).is_empty());
    }

    #[test]
    fn jobs_that_are_gone_that_never_end_or_that_change_are_found() {
        assert_eq!(check(&world("available")).len(), 2);
        assert_eq!(check(&world("discarded"))[0].rule, "I4 terminal is terminal");
        let gone = World { jobs: HashMap::new(), ..world("completed") };
        assert!(check(&gone).iter().any(|found| found.rule == "I1 nothing lost"));
    }
}
