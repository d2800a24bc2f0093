//! The checks: pure functions of the history and of what is there at the end.

mod crons;
mod ends;
mod leases;
mod leftovers;
mod limits;
mod repeats;
mod unique;
mod workflows;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::history::Call;
use crate::table::Item;
use crate::time::ms_of;

/// What was done, and what is there at the end.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// In the order in which they were sent.
    pub(crate) calls: Vec<Call>,
    /// The table.
    pub(crate) items: Vec<Item>,
    /// Jobs by id, as the API shows them.
    pub(crate) jobs: HashMap<String, Value>,
    /// Workflows by id, as the API shows them.
    pub(crate) workflows: HashMap<String, Value>,
    /// Rate limits by key, as the API shows them.
    pub(crate) limits: HashMap<String, Value>,
    /// Messages left in SQS.
    pub(crate) messages: usize,
    /// Keys of limits under which not as many jobs ran at once as may.
    pub(crate) short_of_slots: Vec<String>,
    /// Jobs of requests without an answer, which wait for what comes across them.
    pub(crate) ghosts: HashSet<String>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) what: String,
}

pub(crate) fn violation(rule: &'static str, what: impl Into<String>) -> Violation {
    Violation { rule, what: what.into() }
}

/// A job in the hands of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) job: String,
    pub(crate) kind: String,
    pub(crate) attempt: i64,
    pub(crate) token: String,
    /// By the server's clock, which is the soak's.
    pub(crate) started_ms: i64,
    /// Until when the lease certainly held: its end, or the first request that ended or may have ended it.
    pub(crate) held_until_ms: i64,
    /// Key of its rate limit.
    pub(crate) limit: Option<String>,
}

/// Runs all checks.
pub(crate) fn all(world: &World) -> Vec<Violation> {
    [
        ends::check,
        leases::check,
        repeats::check,
        unique::check,
        limits::check,
        workflows::check,
        crons::check,
        leftovers::check,
    ]
    .iter()
    .flat_map(|check| check(world))
    .collect()
}

impl World {
    /// All claims that workers got, in the order of their starts.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let mut claims: Vec<Claim> = Vec::new();
        for call in self.calls_to("workers/fetch").filter(|call| call.ok()) {
            claims.extend(call.answer["jobs"].as_array().into_iter().flatten().filter_map(claim));
        }
        let released = self.releases();
        let extended = self.extensions();
        for claim in &mut claims {
            let end = claim.held_until_ms.max(extended.get(&claim.token).copied().unwrap_or(0));
            let freed = [&claim.token, &claim.job].into_iter().filter_map(|by| released.get(by.as_str())).min();
            claim.held_until_ms = end.min(freed.copied().unwrap_or(i64::MAX));
        }
        claims.sort_by_key(|claim| claim.started_ms);
        claims
    }

    pub(crate) fn calls_to<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.method == "POST" && call.path == path)
    }

    /// When a lease's token, or a job as a whole, was first named by a request that ends leases.
    fn releases(&self) -> HashMap<&str, i64> {
        let mut first: HashMap<&str, i64> = HashMap::new();
        for call in &self.calls {
            let named = match call.path.as_str() {
                "workers/ack" | "workers/nack" => call.body["lease_token"].as_str(),
                path if call.method == "DELETE" => path.strip_prefix("jobs/"),
                _ => None,
            };
            if let Some(named) = named {
                first.entry(named).or_insert(call.sent_ms);
            }
        }
        // A job that another replaced is cancelled without a request that names it.
        for (id, job) in &self.jobs {
            if let Some(at) = ms_of(&job["cancelled_at"]) {
                let at = first.get(id.as_str()).map_or(at, |first| at.min(*first));
                first.insert(id, at);
            }
        }
        first
    }

    /// Until when heartbeats have certainly extended a lease, by its token.
    fn extensions(&self) -> HashMap<String, i64> {
        let mut until = HashMap::new();
        for call in self.calls_to("workers/heartbeat").filter(|call| call.ok()) {
            let Some(at) = ms_of(&call.answer["server_time"]) else { continue };
            for job in call.answer["jobs_extended"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if let Some(token) = call.body["lease_tokens"][job].as_str() {
                    // Leases are of 2 s at least.
                    let until = until.entry(token.to_owned()).or_insert(0);
                    *until = at.saturating_add(2_000).max(*until);
                }
            }
        }
        until
    }
}

fn claim(job: &Value) -> Option<Claim> {
    Some(Claim {
        job: job["id"].as_str()?.to_owned(),
        kind: job["type"].as_str()?.to_owned(),
        attempt: job["attempt"].as_i64()?,
        token: job["lease_token"].as_str()?.to_owned(),
        started_ms: ms_of(&job["started_at"])?,
        held_until_ms: ms_of(&job["lease_expires_at"])?,
        limit: job["rate_limit"]["key"].as_str().map(str::to_owned),
    })
}

/// Ids of all jobs that were answered as made, or as there.
pub(crate) fn promised(calls: &[Call]) -> Vec<String> {
    let mut ids = Vec::new();
    for call in calls.iter().filter(|call| call.method == "POST" && call.status == Some(201)) {
        let jobs = match call.path.as_str() {
            "jobs" => vec![&call.answer["job"]],
            "jobs/batch" => call.answer["jobs"].as_array().into_iter().flatten().collect(),
            "jobs/bulk" => call.answer["items"].as_array().into_iter().flatten().map(|item| &item["job"]).collect(),
            _ => Vec::new(),
        };
        ids.extend(jobs.into_iter().filter_map(|job| job["id"].as_str().map(str::to_owned)));
    }
    ids
}

/// Ids of all workflows that were answered as made.
pub(crate) fn promised_workflows(calls: &[Call]) -> Vec<String> {
    let made = calls.iter().filter(|call| call.method == "POST" && call.path == "workflows" && call.ok());
    made.filter_map(|call| call.answer["workflow"]["id"].as_str().map(str::to_owned)).collect()
}

/// The request that a job came with: its first argument.
pub(crate) fn marker(job: &Value) -> Option<&str> {
    let first = &job["args"][0];
    first.as_str().or_else(|| first["marker"].as_str())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A call that was answered, from `at` to 10 ms later.
    pub(crate) fn call(path: &str, at: i64, body: Value, status: u16, answer: Value) -> Call {
        Call {
            actor: "test".to_owned(),
            method: "POST",
            path: path.to_owned(),
            body,
            key: None,
            sent_ms: at,
            answered_ms: at + 10,
            status: Some(status),
            answer,
        }
    }

    pub(crate) fn at(ms: i64) -> Value {
        json!(format!("1970-01-01T00:00:{:02}.{:03}Z", ms / 1_000, ms % 1_000))
    }

    /// A fetch that was answered with one job, whose lease is from `from` to `to`.
    pub(crate) fn fetched(job: &str, attempt: i64, token: &str, from: i64, to: i64) -> Call {
        let job = json!({
            "id": job, "type": "t", "attempt": attempt, "lease_token": token, "started_at": at(from),
            "lease_expires_at": at(to), "rate_limit": {"key": "k"},
        });
        call("workers/fetch", from, json!({}), 200, json!({"jobs": [job]}))
    }

    #[test]
    fn a_lease_is_certain_until_it_ends_or_something_may_have_ended_it() {
        let mut world = World { calls: vec![fetched("a", 1, "x", 1_000, 5_000)], ..World::default() };
        assert_eq!(world.claims()[0].held_until_ms, 5_000);
        let beat = json!({"lease_tokens": {"a": "x"}});
        world.calls.push(call(
            "workers/heartbeat",
            4_000,
            beat,
            200,
            json!({"server_time": at(4_000), "jobs_extended": ["a"]}),
        ));
        assert_eq!(world.claims()[0].held_until_ms, 6_000);
        world.calls.push(call("workers/ack", 2_000, json!({"lease_token": "x"}), 409, json!({})));
        assert_eq!(world.claims()[0].held_until_ms, 2_000);
        world.jobs.insert("a".to_owned(), json!({"cancelled_at": at(1_500)}));
        assert_eq!(world.claims()[0].held_until_ms, 1_500);
    }
}
