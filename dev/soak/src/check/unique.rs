//! Unique jobs: while one of a key lives, no other is made.

use std::collections::HashMap;

use serde_json::Value;

use super::{Violation, World, violation};
use crate::time::ms_of;

/// A unique job that was answered as made.
#[derive(Debug)]
struct Made<'a> {
    id: &'a str,
    sent_ms: i64,
    answered_ms: i64,
    ended_ms: i64,
}

pub(super) fn check(world: &World) -> Vec<Violation> {
    let mut by_key: HashMap<String, Vec<Made<'_>>> = HashMap::new();
    for call in world.calls_to("jobs").filter(|call| call.status == Some(201)) {
        if call.body["options"]["unique"].is_null() || call.answer["deduplicated"] == true {
            continue;
        }
        let Some(id) = call.answer["job"]["id"].as_str() else { continue };
        let made = Made {
            id,
            sent_ms: call.sent_ms,
            answered_ms: call.answered_ms,
            ended_ms: world.jobs.get(id).and_then(ended_ms).unwrap_or(i64::MAX),
        };
        by_key.entry(call.body["args"][0]["key"].to_string()).or_default().push(made);
    }
    let mut found = Vec::new();
    for (key, made) in &by_key {
        for older in made {
            // It lived before the other was asked for, and still when that was answered.
            for newer in made.iter().filter(|m| older.answered_ms < m.sent_ms && older.ended_ms > m.answered_ms) {
                let what = format!("key {key}: job {} was made while {} lived", newer.id, older.id);
                found.push(violation("unique", what));
            }
        }
    }
    found
}

fn ended_ms(job: &Value) -> Option<i64> {
    ["completed_at", "cancelled_at", "discarded_at"].iter().filter_map(|field| ms_of(&job[*field])).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{at, call};
    use super::*;

    fn world(ended: i64) -> World {
        let made = |id: &str, sent| {
            let body = json!({"args": [{"key": 1}], "options": {"unique": {"keys": ["args"]}}});
            call("jobs", sent, body, 201, json!({"job": {"id": id}}))
        };
        let jobs = HashMap::from([("a".to_owned(), json!({"completed_at": at(ended)}))]);
        World { calls: vec![made("a", 1_000), made("b", 2_000)], jobs, ..World::default() }
    }

    #[test]
    fn two_that_live_at_the_same_time_are_found() {
        assert!(check(&world(1_500)).is_empty());
        assert!(check(&world(2_005)).is_empty(), "it may have ended before the other was made");
        assert_eq!(check(&world(2_500)).len(), 1);
    }
}
