//! I2, each attempt has one worker and leases do not overlap, and I3, acks and nacks of a lapsed lease are refused.

use std::collections::HashMap;

use super::{Claim, Violation, World, violation};
use crate::time::ms_of;

const I2: &str = "I2 one winner";
const I3: &str = "I3 fenced";

pub(super) fn check(world: &World) -> Vec<Violation> {
    let mut by_job: HashMap<String, Vec<Claim>> = HashMap::new();
    for claim in world.claims() {
        by_job.entry(claim.job.clone()).or_default().push(claim);
    }
    let mut found = Vec::new();
    for claims in by_job.values() {
        for two in claims.windows(2) {
            if let [earlier, later] = two {
                found.extend(overlap(earlier, later));
            }
        }
    }
    found.extend(fences(world, &by_job));
    found.extend(too_early(world));
    found
}

fn overlap(earlier: &Claim, later: &Claim) -> Option<Violation> {
    if later.attempt <= earlier.attempt {
        let what = format!("job {}: attempts {} and {} in this order", earlier.job, earlier.attempt, later.attempt);
        return Some(violation(I2, what));
    }
    (later.started_ms < earlier.held_until_ms).then(|| {
        let what = format!(
            "job {}: attempt {} started {} ms before the lease of attempt {} ended",
            earlier.job,
            later.attempt,
            earlier.held_until_ms - later.started_ms,
            earlier.attempt
        );
        violation(I2, what)
    })
}

/// An accepted ack is the last thing that happens to a job; an accepted nack comes before the next attempt.
fn fences(world: &World, by_job: &HashMap<String, Vec<Claim>>) -> Vec<Violation> {
    let mut first_sent: HashMap<&str, i64> = HashMap::new();
    let mut found = Vec::new();
    for call in world.calls.iter().filter(|call| ["workers/ack", "workers/nack"].contains(&call.path.as_str())) {
        let Some(token) = call.body["lease_token"].as_str() else { continue };
        let sent = *first_sent.entry(token).or_insert(call.sent_ms);
        let claims = call.body["job_id"].as_str().and_then(|id| by_job.get(id)).map_or(&[][..], Vec::as_slice);
        let Some(own) = claims.iter().find(|claim| claim.token == token) else { continue };
        if !call.ok() {
            continue;
        }
        let acked = call.path == "workers/ack";
        for later in claims.iter().filter(|claim| claim.attempt > own.attempt) {
            if acked || later.started_ms < sent {
                let what = format!(
                    "job {}: {} of attempt {} was accepted, and attempt {} started {} ms after it was first sent",
                    own.job,
                    call.path,
                    own.attempt,
                    later.attempt,
                    later.started_ms - sent
                );
                found.push(violation(I3, what));
            }
        }
        let result = world.jobs.get(&own.job).map(|job| &job["result"]["lease"]);
        if acked && result.is_none_or(|result| *result != token) {
            found.push(violation(I3, format!("job {}: the result of the accepted ack is not there", own.job)));
        }
    }
    found
}

/// No attempt starts before its schedule or the end of its backoff.
fn too_early(world: &World) -> Vec<Violation> {
    let mut not_before: HashMap<(&str, i64), i64> = HashMap::new();
    for call in world.calls_to("workers/nack").filter(|call| call.ok()) {
        let next = ms_of(&call.answer["next_attempt_at"]);
        if let (Some(id), Some(attempt), Some(at)) =
            (call.body["job_id"].as_str(), call.answer["attempt"].as_i64(), next)
        {
            not_before.insert((id, attempt + 1), at);
        }
    }
    let mut found = Vec::new();
    for claim in world.claims() {
        let scheduled = world.jobs.get(&claim.job).and_then(|job| ms_of(&job["scheduled_at"]));
        let backoff = not_before.get(&(claim.job.as_str(), claim.attempt)).copied();
        if let Some(at) = scheduled.max(backoff).filter(|at| claim.started_ms < *at) {
            let what =
                format!("job {}: attempt {} started {} ms early", claim.job, claim.attempt, at - claim.started_ms);
            found.push(violation("on time", what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{at, call, fetched};
    use super::*;

    fn rules(world: &World) -> Vec<&'static str> {
        check(world).into_iter().map(|found| found.rule).collect()
    }

    fn two(second_starts: i64) -> World {
        let calls = vec![fetched("a", 1, "x", 1_000, 5_000), fetched("a", 2, "y", second_starts, 9_000)];
        World { calls, ..World::default() }
    }

    #[test]
    fn leases_that_overlap_and_attempts_with_two_workers_are_found() {
        assert!(rules(&two(5_000)).is_empty());
        assert_eq!(rules(&two(4_999)), [I2]);
        let twice = World {
            calls: vec![fetched("a", 1, "x", 1_000, 2_000), fetched("a", 1, "y", 3_000, 4_000)],
            ..World::default()
        };
        assert_eq!(rules(&twice), [I2]);
    }

    #[test]
    fn an_ack_of_a_lapsed_lease_that_is_accepted_is_found() {
        let mut world = two(5_000);
        world.jobs.insert("a".to_owned(), json!({"state": "completed", "result": {"lease": "x"}}));
        let late = |status| call("workers/ack", 6_000, json!({"job_id": "a", "lease_token": "x"}), status, json!({}));
        world.calls.push(late(409));
        assert!(rules(&world).is_empty());
        world.calls.push(late(200));
        assert_eq!(rules(&world), [I3]);
    }

    #[test]
    fn an_accepted_ack_whose_result_is_not_there_is_found() {
        let mut world = World { calls: vec![fetched("a", 1, "x", 1_000, 5_000)], ..World::default() };
        world.calls.push(call("workers/ack", 2_000, json!({"job_id": "a", "lease_token": "x"}), 200, json!({})));
        world.jobs.insert("a".to_owned(), json!({"state": "completed", "result": {"lease": "y"}}));
        assert_eq!(rules(&world), [I3]);
    }

    #[test]
    fn an_attempt_within_the_backoff_is_found() {
        let mut world = two(5_000);
        let answer = json!({"attempt": 1, "next_attempt_at": at(5_001)});
        world.calls.push(call("workers/nack", 1_500, json!({"job_id": "a", "lease_token": "x"}), 200, answer));
        assert_eq!(rules(&world), ["on time"]);
    }
}
