//! Command line arguments.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use reqwest::header::{HeaderName, HeaderValue};

use crate::suite::{Case, Level};

/// Runs Open Job Spec conformance suites against a server.
///
/// Without --url it starts the local stack in this process, resets it before each case and
/// stops it at the end. Exit code: 0 all passed, 1 a case failed, 2 nothing could be run.
#[derive(Debug, Clone, Parser)]
#[command(name = "ojs-conformance", version)]
pub struct Args {
    /// Folder with the cases (searched for *.json, recursively), or one file.
    #[arg(long, value_name = "PATH")]
    pub suites: PathBuf,

    /// Only cases of this level (0, 1, .. or ext); repeat or separate by commas.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub level: Vec<Level>,

    /// Server to test; without it the local stack is started.
    #[arg(long, value_parser = parse_url)]
    pub url: Option<String>,

    /// Start the local stack with FIFO queues (SQS_USE_FIFO=true), and know the cases that contradict their order.
    #[arg(long, conflicts_with = "url")]
    pub fifo: bool,

    /// POSTed to before each case [default: the reset endpoint of the local stack; none with --url].
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub reset_url: Option<String>,

    /// Order of the cases.
    #[arg(long, value_enum, default_value_t = Order::Id)]
    pub order: Order,

    /// Seed of --order random; without it one is drawn and printed.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Run everything this many times in a row.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,

    /// Only cases whose test id or name contains this.
    #[arg(long, value_name = "SUBSTRING", allow_hyphen_values = true)]
    pub filter: Option<String>,

    /// Case whose failure is reported as KNOWN and does not fail the run; repeatable.
    #[arg(long, value_name = "ID")]
    pub known: Vec<String>,

    /// Header sent with every request, such as 'Authorization: Bearer x'; repeatable.
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header)]
    pub header: Vec<(HeaderName, HeaderValue)>,

    /// Write a JSON report to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Print every request and answer.
    #[arg(long, short)]
    pub verbose: bool,
}

/// In which order the cases run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// By test id.
    Id,
    /// Shuffled, a new shuffle in each round.
    Random,
}

impl Args {
    /// Whether `--level` and `--filter` leave this case in.
    #[must_use]
    pub fn selects(&self, case: &Case) -> bool {
        let level = self.level.is_empty() || self.level.contains(&case.level);
        let text = self.filter.as_deref().unwrap_or_default();
        level && (case.test_id.contains(text) || case.name.contains(text))
    }
}

fn parse_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|e| e.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(text.trim_end_matches('/').to_owned()),
        other => Err(format!("scheme {other:?} is neither http nor https")),
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected 'Name: value'")?;
    let name = name.trim().parse::<HeaderName>().map_err(|e| e.to_string())?;
    // The value may be a credential, so the message does not repeat it.
    let value = value.trim().parse::<HeaderValue>().map_err(|_| "the value has characters a header cannot carry")?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(extra: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["ojs-conformance", "--suites", "s"].iter().chain(extra))
    }

    #[test]
    fn levels_repeat_and_split_at_commas() {
        let args = parse(&["--level", "0,2", "--level", "ext"]).unwrap();
        assert_eq!(args.level, [Level(0), Level(2), Level::EXT]);
    }

    #[test]
    fn headers_are_split_at_the_first_colon() {
        let args = parse(&["--header", "X-Time: 12:30"]).unwrap();
        assert_eq!(args.header[0].0, "x-time");
        assert_eq!(args.header[0].1, "12:30");
    }

    #[test]
    fn wrong_values_are_refused() {
        for extra in [
            ["--header", "no-colon"],
            ["--header", "bad name: x"],
            ["--url", "localhost"],
            ["--url", "ftp://localhost"],
            ["--reset-url", "/reset"],
            ["--level", "x"],
            ["--repeat", "0"],
            ["--order", "size"],
            ["--seed", "-1"],
        ] {
            assert!(parse(&extra).is_err(), "{extra:?}");
        }
    }

    #[test]
    fn a_trailing_slash_of_the_url_is_cut() {
        assert_eq!(parse(&["--url", "http://h:1/x/"]).unwrap().url.as_deref(), Some("http://h:1/x"));
    }
}
