//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Cost and speed benchmarks of the engine on the local AWS.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// What to run; everything by default.
    #[command(subcommand)]
    pub(crate) part: Option<Part>,
    /// Where cost.json and speed.json go.
    #[arg(long, global = true, default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// Seconds per cell of the speed table.
    #[arg(long, global = true, default_value = "3", value_parser = seconds)]
    seconds: Duration,
    /// Thousands of jobs in the table that the audit passes through.
    #[arg(long, global = true, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) audit_thousands: u32,
    /// Fewer repetitions and short cells: does it run at all?
    #[arg(long, global = true)]
    pub(crate) quick: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum Part {
    /// AWS calls, write and read units of each operation; fails when a budget is exceeded.
    Cost,
    /// Rates and latencies, beside the same AWS calls issued bare.
    Speed,
    /// How late jobs and cron jobs start, and how long a burst of due jobs takes.
    Ticks,
    /// How acks of a group's 1,000 jobs compare with those of plain jobs, 64 at once.
    Fanout,
    /// What a pass of the audit takes over a million jobs. Not part of `all`.
    Audit,
    /// All of the others.
    All,
}

impl Args {
    /// How long each cell of the speed table is measured.
    pub(crate) fn cell(&self) -> Duration {
        if self.quick { self.seconds.min(Duration::from_millis(500)) } else { self.seconds }
    }

    /// How often a counted operation is repeated. The counts hardly vary: only digits do.
    pub(crate) fn repetitions(&self) -> usize {
        if self.quick { 3 } else { 10 }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(s) if (0.1..=600.0).contains(&s) => Ok(Duration::from_secs_f64(s)),
        _ => Err("must be a number from 0.1 to 600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }
}
