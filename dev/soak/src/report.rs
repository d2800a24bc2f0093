//! The verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;

use crate::Mode;
use crate::check::{Violation, World};
use crate::programs::Counts;

/// Violations of one invariant that are printed; the others are counted.
const SHOWN: usize = 10;

/// What one run found.
#[derive(Debug)]
pub(crate) struct Report {
    mode: Mode,
    seed: u64,
    lines: Vec<String>,
    violations: Vec<Violation>,
}

impl Report {
    pub(crate) fn new(mode: Mode, seed: u64, world: &World, counts: &Counts, violations: Vec<Violation>) -> Self {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for job in world.jobs.values() {
            *states.entry(job["state"].as_str().unwrap_or("?")).or_default() += 1;
        }
        let mut flows: BTreeMap<&str, usize> = BTreeMap::new();
        for workflow in world.workflows.values() {
            *flows.entry(workflow["state"].as_str().unwrap_or("?")).or_default() += 1;
        }
        // Without those that wait for the API's start.
        let calls: Vec<_> = world.calls.iter().filter(|call| call.actor != "soak").collect();
        let unanswered = calls.iter().filter(|call| call.status.is_none()).count();
        let failed = calls.iter().filter(|call| call.status.is_some_and(|status| status >= 500)).count();
        let lines = vec![
            format!("requests: {}, of them {unanswered} without an answer, {failed} with a 5xx", calls.len()),
            format!("jobs: {} {states:?}; attempts that a worker got: {}", world.jobs.len(), world.claims().len()),
            format!("workflows: {} {flows:?}", world.workflows.len()),
            format!("jobs of requests without an answer that wait for the audit: {}", world.ghosts.len()),
            format!(
                "killed: the API {} times, {} of {} ticks ({} ticks failed)",
                count(&counts.kills),
                count(&counts.ticks_killed),
                count(&counts.ticks),
                count(&counts.ticks_failed),
            ),
        ];
        Self { mode, seed, lines, violations }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "soak {} (seed {}):", self.mode.name(), self.seed)?;
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        let mut by_rule: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for violation in &self.violations {
            by_rule.entry(violation.rule).or_default().push(&violation.what);
        }
        for (rule, all) in &by_rule {
            writeln!(f, "  VIOLATED {rule}: {}", all.len())?;
            for what in all.iter().take(SHOWN) {
                writeln!(f, "    {what}")?;
            }
        }
        write!(f, "  {}", if self.is_clean() { "clean: I1 to I7 hold" } else { "NOT clean" })
    }
}
