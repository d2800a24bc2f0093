//! How late jobs start, and how long a burst of them takes: what the issue of schedules promises.

mod burst;
mod lateness;

use serde::Serialize;

use self::burst::Burst;
use self::lateness::Lateness;
use crate::args::Args;
use crate::machine::{self, Machine};
use crate::{Outcome, report};

/// ticks.json.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    /// By a clock that was not checked, s since the Unix epoch.
    date_unchecked_seconds: u64,
    lateness: Vec<Lateness>,
    burst: Burst,
}

/// Measures everything; answers whether all goals are met.
pub(crate) async fn run(args: &Args) -> Outcome<bool> {
    let (jobs, burst) = if args.quick { (500, 5_000) } else { (10_000, 100_000) };
    let machine = Machine::here();
    println!("\nLateness: due times anywhere, a tick a minute, one worker; on a clock that the benchmark moves.");
    println!(
        "{:<28} {:>6} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7}",
        "what", "jobs", "poll ms", "min ms", "p50", "p90", "p99", "max"
    );
    let mut lateness = Vec::new();
    for poll_ms in [100, 250, 1_000] {
        lateness.push(lateness::jobs(jobs, poll_ms).await?);
    }
    lateness.push(lateness::cron(jobs / 10, 250).await?);
    println!("\nA burst: {burst} jobs due in one minute, one tick ({machine}).");
    let burst = burst::run(burst).await?;
    burst.print();
    let met = lateness.iter().all(Lateness::meets_its_goal) && burst.meets_its_goal();
    report::write(
        &args.out,
        "ticks.json",
        &Report { machine, date_unchecked_seconds: machine::unchecked_seconds(), lateness, burst },
    )?;
    println!("{}", if met { "all goals are met" } else { "a goal is missed" });
    Ok(met)
}
