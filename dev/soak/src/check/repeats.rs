//! I5: a request that is repeated under a key makes its jobs once; no request makes more than it says, and a batch is whole.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Violation, World, marker, violation};
use crate::history::Call;

const I5: &str = "I5 idempotent";

/// What was asked for under one marker.
#[derive(Debug, Default)]
struct Asked {
    path: String,
    jobs: usize,
    sent: usize,
    keyed: bool,
    answered: bool,
    /// Ids of all answers.
    ids: BTreeSet<Vec<String>>,
}

pub(super) fn check(world: &World) -> Vec<Violation> {
    let mut there: BTreeMap<&str, usize> = BTreeMap::new();
    for job in world.jobs.values() {
        if let Some(marker) = marker(job) {
            *there.entry(marker).or_default() += 1;
        }
    }
    let mut found = Vec::new();
    for (marker, asked) in asked(world) {
        found.extend(judge(&marker, &asked, there.get(marker.as_str()).copied().unwrap_or(0)));
    }
    found.extend(workflows(world));
    found
}

fn judge(marker: &str, asked: &Asked, there: usize) -> Option<Violation> {
    let most = if asked.keyed { asked.jobs } else { asked.jobs * asked.sent };
    let least = if asked.answered { asked.jobs } else { 0 };
    let in_part = asked.path == "jobs/batch" && !there.is_multiple_of(asked.jobs.max(1));
    if (least..=most).contains(&there) && !in_part && asked.ids.len() <= 1 {
        return None;
    }
    let what = format!(
        "{marker}: POST {} of {} jobs, sent {} times ({}), made {there}; {} different answers",
        asked.path,
        asked.jobs,
        asked.sent,
        if asked.keyed { "under one key" } else { "without a key" },
        asked.ids.len()
    );
    Some(violation(I5, what))
}

/// What was asked for, by marker. Unique jobs have a check of their own.
fn asked(world: &World) -> BTreeMap<String, Asked> {
    let mut all: BTreeMap<String, Asked> = BTreeMap::new();
    for call in world.calls.iter().filter(|call| call.method == "POST") {
        let jobs: Vec<&Value> = match call.path.as_str() {
            "jobs" if call.body["options"]["unique"].is_null() => vec![&call.body],
            "jobs/batch" | "jobs/bulk" => call.body["jobs"].as_array().into_iter().flatten().collect(),
            _ => continue,
        };
        let Some(marker) = jobs.first().and_then(|job| marker(job)) else { continue };
        let asked = all.entry(marker.to_owned()).or_default();
        asked.path.clone_from(&call.path);
        asked.jobs = jobs.len();
        asked.sent += 1;
        asked.keyed = call.key.is_some();
        if call.ok() {
            asked.answered = true;
            asked.ids.insert(ids(call));
        }
    }
    all
}

fn ids(call: &Call) -> Vec<String> {
    super::promised(std::slice::from_ref(&Call { status: Some(201), ..call.clone() }))
}

/// A workflow's name is that of its request.
fn workflows(world: &World) -> Vec<Violation> {
    let mut there: BTreeMap<&str, usize> = BTreeMap::new();
    for workflow in world.workflows.values() {
        if let Some(name) = workflow["name"].as_str() {
            *there.entry(name).or_default() += 1;
        }
    }
    let twice = there.into_iter().filter(|(_, count)| *count > 1);
    twice.map(|(name, count)| violation(I5, format!("workflow {name} was made {count} times"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::call;
    use super::*;

    fn world(key: Option<&str>, made: &[&str], statuses: &[u16]) -> World {
        let calls = statuses.iter().map(|status| {
            let answer = json!({"job": {"id": "a"}});
            Call { key: key.map(str::to_owned), ..call("jobs", 0, json!({"args": ["m1"]}), *status, answer) }
        });
        let jobs = made.iter().map(|id| ((*id).to_owned(), json!({"args": ["m1"]})));
        World { calls: calls.collect(), jobs: jobs.collect(), ..World::default() }
    }

    #[test]
    fn what_a_key_made_twice_or_never_is_found() {
        assert!(check(&world(Some("m1"), &["a"], &[503, 201, 201])).is_empty());
        assert!(check(&world(Some("m1"), &[], &[503])).is_empty());
        assert_eq!(check(&world(Some("m1"), &["a", "b"], &[503, 201])).len(), 1);
        assert_eq!(check(&world(Some("m1"), &[], &[201])).len(), 1);
    }

    #[test]
    fn without_a_key_each_time_that_it_was_sent_may_count() {
        assert!(check(&world(None, &["a", "b"], &[503, 201])).is_empty());
        assert_eq!(check(&world(None, &["a", "b"], &[201])).len(), 1);
    }

    #[test]
    fn a_part_of_a_batch_is_found() {
        let body = json!({"jobs": [{"args": ["m1"]}, {"args": ["m1"]}]});
        let calls = vec![call("jobs/batch", 0, body, 503, json!({}))];
        let jobs = [("a".to_owned(), json!({"args": ["m1"]}))].into();
        assert_eq!(check(&World { calls, jobs, ..World::default() }).len(), 1);
    }
}
