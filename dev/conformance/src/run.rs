//! Running one case: its steps in order, the parallel ones at once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;

use crate::assertions;
use crate::http::{Client, Request};
use crate::suite::{Case, Phase, Step};
use crate::template::Answers;
use crate::value::shorten;

/// One thing that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Id of the step.
    pub step: String,
    /// `status`, a body path, a header, or `request` when no answer came.
    pub path: String,
    /// What was wanted.
    pub expected: String,
    /// What was there.
    pub got: String,
    /// Status of the answer, when there was one.
    pub http_status: Option<u16>,
}

/// What came of running a case.
#[derive(Debug)]
pub struct Outcome {
    /// Set when the case itself could not be run: the reset or its setup failed.
    pub error: Option<String>,
    /// What did not hold.
    pub failures: Vec<Failure>,
    /// From the reset to the last step.
    pub took: Duration,
    /// A line per exchange, kept when the runner is verbose.
    pub trace: Vec<String>,
}

/// Runs cases one after the other against one server.
#[derive(Debug)]
pub struct Runner<'a> {
    client: &'a Client,
    verbose: bool,
}

/// What came of one step.
struct Done {
    body: Option<Arc<Value>>,
    failures: Vec<Failure>,
    trace: Option<String>,
}

impl<'a> Runner<'a> {
    /// A runner; `verbose` keeps a line per exchange in the outcome.
    #[must_use]
    pub fn new(client: &'a Client, verbose: bool) -> Self {
        Self { client, verbose }
    }

    /// Resets the server and runs the case.
    pub async fn run(&self, case: &Case) -> Outcome {
        let began = Instant::now();
        let mut outcome = Outcome { error: None, failures: Vec::new(), took: Duration::ZERO, trace: Vec::new() };
        if let Err(error) = self.client.reset().await {
            outcome.error = Some(format!("reset: {error}"));
        } else {
            self.run_phases(case, &mut outcome).await;
        }
        outcome.took = began.elapsed();
        outcome
    }

    async fn run_phases(&self, case: &Case, outcome: &mut Outcome) {
        let mut answers = Answers::default();
        for step in phase_steps(case.setup.as_ref()) {
            self.run_group(std::slice::from_ref(step), &mut answers, outcome).await;
            if !outcome.failures.is_empty() {
                outcome.error = Some(format!("setup step {} failed", step.id));
                return;
            }
        }
        for group in groups(&case.steps) {
            self.run_group(group, &mut answers, outcome).await;
        }
        // Tidying up is not part of what is tested.
        let judged = outcome.failures.len();
        for step in phase_steps(case.teardown.as_ref()) {
            self.run_group(std::slice::from_ref(step), &mut answers, outcome).await;
        }
        outcome.failures.truncate(judged);
    }

    /// Runs steps at once; all of them see the answers from before the group.
    async fn run_group(&self, group: &[Step], answers: &mut Answers, outcome: &mut Outcome) {
        let all = join_all(group.iter().map(|step| self.run_step(step, answers.clone()))).await;
        for (step, done) in group.iter().zip(all) {
            answers.insert(&step.id, done.body);
            outcome.failures.extend(done.failures);
            outcome.trace.extend(done.trace);
        }
    }

    async fn run_step(&self, step: &Step, mut answers: Answers) -> Done {
        let delay = step.delay_ms.unwrap_or(0);
        sleep(Duration::from_millis(delay)).await;
        if step.action.eq_ignore_ascii_case("WAIT") {
            let length = step.duration_ms.filter(|ms| *ms > 0).unwrap_or(delay);
            sleep(Duration::from_millis(length)).await;
            let trace = self.verbose.then(|| format!("{} WAIT {length} ms", step.id));
            return Done { body: None, failures: Vec::new(), trace };
        }

        let path = answers.fill(&step.path);
        let request = Request {
            method: &step.action,
            path: &path,
            headers: step.headers.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            body: step.body.as_ref().map(|body| answers.fill(body.get())),
        };
        let sent = self.client.send(&request).await;
        let line = |result: &str| format!("{} {} {path} -> {result}", step.id, step.action);
        match sent {
            Ok(answer) => {
                // A step may refer to its own answer.
                answers.insert(&step.id, answer.parsed.clone());
                let complaints = step.assertions.iter().flat_map(|a| assertions::check(a, &answer, &answers));
                let failures = complaints.map(|complaint| Failure {
                    step: step.id.clone(),
                    path: complaint.path,
                    expected: complaint.expected,
                    got: complaint.got,
                    http_status: Some(answer.status),
                });
                let text = || shorten(&String::from_utf8_lossy(&answer.raw));
                let result = || format!("{} ({} ms) {}", answer.status, answer.took.as_millis(), text());
                let trace = self.verbose.then(|| line(&result()));
                Done { failures: failures.collect(), body: answer.parsed, trace }
            }
            Err(error) => {
                let failure = Failure {
                    step: step.id.clone(),
                    path: "request".to_owned(),
                    expected: "an answer".to_owned(),
                    got: error.to_string(),
                    http_status: None,
                };
                Done { body: None, failures: vec![failure], trace: self.verbose.then(|| line(&error.to_string())) }
            }
        }
    }
}

fn phase_steps(phase: Option<&Phase>) -> &[Step] {
    phase.map_or(&[], |phase| &phase.steps)
}

/// Cuts the steps into groups: neighbours that have `parallel_with`, or are named by one, form a
/// group; every other step is a group of its own.
fn groups(steps: &[Step]) -> impl Iterator<Item = &[Step]> {
    let mut together = HashSet::new();
    for step in steps {
        if let Some(partner) = &step.parallel_with {
            together.extend([step.id.as_str(), partner.as_str()]);
        }
    }
    steps.chunk_by(move |a, b| together.contains(a.id.as_str()) && together.contains(b.id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn grouping() {
        for (steps, want) in [
            (vec![("a", ""), ("b", ""), ("c", "")], "a b c"),
            (vec![("a", ""), ("b", ""), ("c", "b"), ("d", "")], "a b+c d"),
            (vec![("a", "b"), ("b", "")], "a+b"),
            (vec![("a", ""), ("b", "a"), ("c", "a"), ("d", "")], "a+b+c d"),
            (vec![("a", ""), ("x", ""), ("b", "a")], "a x b"),
            (vec![], ""),
        ] {
            let steps: Vec<Step> = steps
                .into_iter()
                .map(|(id, with)| {
                    let with = (!with.is_empty()).then_some(with);
                    serde_json::from_value(json!({"id": id, "action": "GET", "parallel_with": with})).unwrap()
                })
                .collect();
            let ids = |group: &[Step]| group.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join("+");
            assert_eq!(groups(&steps).map(ids).collect::<Vec<_>>().join(" "), want);
        }
    }
}
