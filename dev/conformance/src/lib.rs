//! Runner for the Open Job Spec (OJS) conformance suites.
//!
//! A suite is a folder of JSON files, one case each: HTTP steps with assertions on the answers.
//! The runner sends the steps to a server and reports what did not hold. It knows nothing of
//! the server under test beyond its URL, so it also runs against a deployed stack.

// A test may unwrap: a panic is how it fails.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod args;
pub mod assertions;
pub mod http;
pub mod known;
pub mod matcher;
pub mod path;
pub mod report;
pub mod run;
pub mod suite;
pub mod template;
pub mod value;

use std::io::Write;

use ojs_local::{Stack, StackOptions};

use crate::args::{Args, Order};
use crate::http::Client;
use crate::known::KnownList;
use crate::report::{Report, Reporter, Summary};
use crate::run::Runner;
use crate::suite::Case;

/// Path of the reset endpoint of the local stack.
const RESET_PATH: &str = "/ojs/v1/admin/reset";

/// Why a run could not take place. Failing cases are not errors, they are in the [`Summary`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The suites cannot be read.
    #[error(transparent)]
    Suites(#[from] suite::LoadError),
    /// No case is left after `--level` and `--filter`.
    #[error("no case selected: {loaded} loaded, none matches --level and --filter")]
    NothingSelected {
        /// How many cases the suites hold.
        loaded: usize,
    },
    /// The local stack did not start.
    #[error("the local stack did not start: {0}")]
    Stack(#[from] ojs_local::StartError),
    /// The HTTP client cannot be built, or the server does not answer at all.
    #[error(transparent)]
    Http(#[from] http::HttpError),
    /// The table cannot be printed.
    #[error("cannot print the results: {0}")]
    Output(#[from] std::io::Error),
    /// The JSON report cannot be written.
    #[error("cannot write the report {path}: {source}")]
    Report {
        /// The file of `--json`.
        path: String,
        /// What the file system said.
        source: std::io::Error,
    },
}

/// Loads the suites, runs the selected cases and prints the table to `out`.
///
/// # Errors
/// [`Error`] when nothing could be run or reported; failing cases are in the summary.
pub async fn execute(args: &Args, out: &mut dyn Write) -> Result<Summary, Error> {
    let cases = select(args)?;
    let stack = match args.url {
        Some(_) => None,
        None => {
            let mut options = StackOptions::default();
            options.settings.fifo = args.fifo;
            Some(Stack::start(options).await?)
        }
    };
    let result = drive(args, cases, stack.as_ref(), out).await;
    // The stack is stopped on the error path too, so that its parts end in order.
    if let Some(stack) = stack {
        stack.shutdown().await;
    }
    result
}

/// The cases that `--level` and `--filter` leave, sorted by id and file.
fn select(args: &Args) -> Result<Vec<Case>, Error> {
    let all = suite::load(&args.suites)?;
    let loaded = all.len();
    let cases: Vec<Case> = all.into_iter().filter(|case| args.selects(case)).collect();
    if cases.is_empty() { Err(Error::NothingSelected { loaded }) } else { Ok(cases) }
}

/// Runs `cases` against the stack, or against `--url` when there is none.
async fn drive(args: &Args, cases: Vec<Case>, stack: Option<&Stack>, out: &mut dyn Write) -> Result<Summary, Error> {
    let url = stack.map_or_else(|| args.url.clone().unwrap_or_default(), |s| s.url().to_owned());
    let url = url.trim_end_matches('/').to_owned();
    let reset_url = args.reset_url.clone().or_else(|| stack.map(|_| format!("{url}{RESET_PATH}")));

    let client = Client::new(&url, reset_url, &args.header)?;
    client.probe().await?;

    let known = KnownList::with_defaults(&args.known, args.fifo);
    let seed =
        (args.order == Order::Random).then(|| args.seed.unwrap_or_else(|| fastrand::u64(..=u64::from(u32::MAX))));
    let mut rng = seed.map(fastrand::Rng::with_seed);

    let mut report = Report::new(&url, seed);
    let mut reporter = Reporter::new(out, &cases, args.verbose);
    reporter.begin(&url, cases.len(), seed)?;
    let runner = Runner::new(&client, args.verbose);

    let mut order: Vec<&Case> = cases.iter().collect();
    for round in 1..=args.repeat {
        if let Some(rng) = rng.as_mut() {
            rng.shuffle(&mut order);
        }
        reporter.round(round, args.repeat)?;
        for case in &order {
            let outcome = runner.run(case).await;
            let result = report.add(round, case, outcome, &known);
            reporter.case(result)?;
        }
    }

    let summary = report.summary();
    reporter.end(&report, &summary)?;
    if let Some(path) = &args.json {
        report.write(path, &summary).map_err(|source| Error::Report { path: path.display().to_string(), source })?;
    }
    Ok(summary)
}
