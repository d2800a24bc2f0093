//! The table on the terminal and the JSON report.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::known::KnownList;
use crate::run::{Failure, Outcome};
use crate::suite::{Case, Level};

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything held.
    Passed,
    /// Something did not hold.
    Failed,
    /// It failed and is on the known list.
    Known,
    /// It passed although it is on the known list.
    KnownPasses,
    /// It could not be run: its reset or its setup failed.
    Error,
}

impl Status {
    fn label(self) -> &'static str {
        match self {
            Self::Passed => "PASS",
            Self::Failed => "FAIL",
            Self::Known => "KNOWN",
            Self::KnownPasses => "KNOWN (now passes)",
            Self::Error => "ERROR",
        }
    }
}

/// The result of one case in one round.
#[derive(Debug, Serialize)]
pub struct CaseResult {
    /// Test id.
    pub id: String,
    /// Name of the case.
    pub name: String,
    /// File below the suites folder.
    pub file: String,
    /// Level of the case.
    pub level: Level,
    /// Which repetition, from 1.
    pub round: u32,
    /// What became of it.
    pub status: Status,
    /// Why it could not be run, or why it is on the known list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What did not hold.
    pub failures: Vec<Failure>,
    /// How long it took.
    pub duration_ms: u64,
    #[serde(skip)]
    trace: Vec<String>,
}

/// Counts; a known failure counts as skipped, a case that could not be run as failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All results.
    pub total: usize,
    /// Passed, on the known list or not.
    pub passed: usize,
    /// Failed, or could not be run.
    pub failed: usize,
    /// Known failures.
    pub skipped: usize,
}

impl Counts {
    fn add(&mut self, status: Status) {
        self.total += 1;
        match status {
            Status::Passed | Status::KnownPasses => self.passed += 1,
            Status::Failed | Status::Error => self.failed += 1,
            Status::Known => self.skipped += 1,
        }
    }
}

/// The totals of a run.
pub type Summary = Counts;

/// All results of a run.
#[derive(Debug)]
pub struct Report {
    url: String,
    seed: Option<u64>,
    results: Vec<CaseResult>,
}

impl Report {
    /// An empty report; `seed` is set for a random order.
    #[must_use]
    pub fn new(url: &str, seed: Option<u64>) -> Self {
        Self { url: url.to_owned(), seed, results: Vec::new() }
    }

    /// Judges and keeps an outcome.
    pub fn add(&mut self, round: u32, case: &Case, outcome: Outcome, known: &KnownList) -> &CaseResult {
        let known = known.reason(&case.test_id);
        let (status, reason) = match (outcome.error, outcome.failures.is_empty(), known) {
            // A case that did not run tells nothing, whether it is on the list or not.
            (Some(error), _, _) => (Status::Error, Some(error)),
            (None, true, None) => (Status::Passed, None),
            (None, false, None) => (Status::Failed, None),
            (None, true, Some(reason)) => (Status::KnownPasses, Some(reason.to_owned())),
            (None, false, Some(reason)) => (Status::Known, Some(reason.to_owned())),
        };
        self.results.push(CaseResult {
            id: case.test_id.clone(),
            name: case.name.clone(),
            file: case.file.clone(),
            level: case.level,
            round,
            status,
            reason,
            failures: outcome.failures,
            duration_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
            trace: outcome.trace,
        });
        &self.results[self.results.len() - 1]
    }

    /// The totals over all levels and rounds.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut counts = Counts::default();
        self.results.iter().for_each(|result| counts.add(result.status));
        counts
    }

    fn levels(&self) -> BTreeMap<Level, Counts> {
        let mut levels = BTreeMap::<Level, Counts>::new();
        for result in &self.results {
            levels.entry(result.level).or_default().add(result.status);
        }
        levels
    }

    /// Writes the report as JSON.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path, summary: &Summary) -> io::Result<()> {
        let report = serde_json::json!({
            "url": self.url,
            "seed": self.seed,
            "totals": summary,
            "levels": self.levels().iter().map(|(level, counts)| (level.to_string(), counts)).collect::<BTreeMap<_, _>>(),
            "cases": self.results,
        });
        let mut text = serde_json::to_vec_pretty(&report)?;
        text.push(b'\n');
        std::fs::write(path, text)
    }
}

/// Prints the table while the cases run.
pub struct Reporter<'a> {
    out: &'a mut dyn Write,
    id_width: usize,
    name_width: usize,
    verbose: bool,
}

impl std::fmt::Debug for Reporter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl<'a> Reporter<'a> {
    /// A reporter whose columns fit `cases`.
    pub fn new(out: &'a mut dyn Write, cases: &[Case], verbose: bool) -> Self {
        let width = |text: fn(&Case) -> &str| cases.iter().map(|case| text(case).chars().count()).max().unwrap_or(0);
        Self { out, id_width: width(|c| &c.test_id), name_width: width(|c| &c.name), verbose }
    }

    /// Says what is about to run.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin(&mut self, url: &str, cases: usize, seed: Option<u64>) -> io::Result<()> {
        writeln!(self.out, "{cases} cases against {url}")?;
        if let Some(seed) = seed {
            writeln!(self.out, "random order, repeat it with --order random --seed {seed}")?;
        }
        Ok(())
    }

    /// Begins a round; says so when there are several.
    ///
    /// # Errors
    /// Those of the output.
    pub fn round(&mut self, round: u32, rounds: u32) -> io::Result<()> {
        writeln!(self.out)?;
        if rounds > 1 {
            writeln!(self.out, "round {round} of {rounds}")?;
        }
        Ok(())
    }

    /// Prints the line of a case, and what there is to say about it.
    ///
    /// # Errors
    /// Those of the output.
    pub fn case(&mut self, result: &CaseResult) -> io::Result<()> {
        let (id_width, name_width) = (self.id_width, self.name_width);
        let (id, name, label, ms) = (&result.id, &result.name, result.status.label(), result.duration_ms);
        writeln!(self.out, "{id:id_width$}  {name:name_width$}  {label:<5}  {ms:>6} ms")?;
        if self.verbose {
            for line in &result.trace {
                writeln!(self.out, "    . {line}")?;
            }
        }
        if result.status == Status::Passed {
            return self.out.flush();
        }
        writeln!(self.out, "    file: {}", result.file)?;
        if let Some(reason) = &result.reason {
            writeln!(self.out, "    {}: {reason}", if result.status == Status::Error { "error" } else { "known" })?;
        }
        for failure in &result.failures {
            let Failure { step, path, expected, got, http_status } = failure;
            let http = http_status.map(|status| format!(" [HTTP {status}]")).unwrap_or_default();
            writeln!(self.out, "    {step}  {path}: expected {expected}, got {got}{http}")?;
        }
        self.out.flush()
    }

    /// Prints the totals; the last line is the one for machines.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end(&mut self, report: &Report, summary: &Summary) -> io::Result<()> {
        writeln!(self.out, "\nlevel  cases  passed  failed  known")?;
        for (level, Counts { total, passed, failed, skipped }) in report.levels() {
            writeln!(self.out, "{level:>5}  {total:>5}  {passed:>6}  {failed:>6}  {skipped:>5}")?;
        }
        writeln!(self.out)?;
        for result in report.results.iter().filter(|result| result.status == Status::KnownPasses) {
            writeln!(self.out, "warning: {} is on the known list but passes now", result.id)?;
        }
        let skipped = if summary.skipped > 0 { format!(", {} skipped", summary.skipped) } else { String::new() };
        writeln!(self.out, "{} passed, {} failed{skipped}", summary.passed, summary.failed)?;
        self.out.flush()
    }
}
