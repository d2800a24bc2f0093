//! The results for people.

use super::{Operation, Row};
use crate::handles::AWS_HANDLE_BYTES;
use crate::prices;

/// What the Go reference takes for a cycle: DynamoDB calls, SQS calls, write units.
const GO_CYCLE: (u32, f64, f64) = (12, 3.0, 23.0);
/// Ticks of one function in 365/12 days.
const MINUTES_A_MONTH: f64 = 43_800.0;
/// Bytes in a write unit.
const WRITE_UNIT: usize = 1_024;

pub(crate) fn print(rows: &[Row]) {
    println!(
        "Cost per operation (fetch_ten, heartbeat_ten, promote: per job; cron_fire_by_tick, cron_skip: per occurrence). Receipt handles as long as AWS's."
    );
    println!(
        "{:<20} {:>6} {:>7} {:>8} {:>6} {:>7} {:>7} {:>9} {:>8}",
        "operation", "args", "listing", "DynamoDB", "SQS", "WCU", "RCU", "DDB bytes", "SQS bytes"
    );
    for row in rows {
        println!(
            "{:<20} {:>6} {:>7} {:>8} {:>6} {:>7} {:>7} {:>9.0} {:>8.0}",
            row.operation,
            row.args_bytes,
            if row.listing_index { "on" } else { "off" },
            number(row.dynamodb_calls),
            number(row.sqs_calls),
            number(row.wcu),
            number(row.rcu),
            row.dynamodb_bytes,
            row.sqs_bytes
        );
    }
    println!("\nCalls at the smallest size (w: write units, r: read units), not divided:");
    let smallest = rows.iter().map(|row| row.args_bytes).min();
    for row in rows.iter().filter(|row| row.listing_index && Some(row.args_bytes) == smallest) {
        println!("{:<20} {}", row.operation, folded(&row.actions));
    }
}

/// `a, b, b, b` as `a, 3 x b`.
fn folded(actions: &[String]) -> String {
    let runs = actions.chunk_by(|a, b| a == b).map(|run| match run {
        [one] => one.clone(),
        [first, ..] => format!("{} x {first}", run.len()),
        [] => String::new(),
    });
    runs.collect::<Vec<_>>().join(", ")
}

/// A claimed job's item is the largest that the cycle writes.
pub(crate) fn print_item(args_bytes: usize, item: usize, handle: usize, emulated: usize) {
    println!(
        "\nItem of an active job with {args_bytes} B of args: {item} B, {handle} of them the receipt handle (AWS: \
         {AWS_HANDLE_BYTES}; this emulator's own: {emulated}, which would make it {} B).",
        item - handle + emulated
    );
    let room = WRITE_UNIT.saturating_sub(item);
    println!("Room left in its write unit: {room} B, so a claim costs one unit up to {} B of args.", args_bytes + room);
}

pub(crate) fn print_prices(rows: &[Row]) {
    println!(
        "\nUSD per million jobs (cycle), on demand: {} per million WRU, {} RRU, {} SQS requests",
        prices::WRITE_UNITS,
        prices::READ_UNITS,
        prices::SQS_REQUESTS
    );
    for row in rows.iter().filter(|row| row.operation == Operation::Cycle.name()) {
        let listing = if row.listing_index { "on" } else { "off" };
        let usd = prices::usd_per_million(row.wcu, row.rcu, row.sqs_calls);
        println!("  {:>6} B, listing index {listing:<3} {usd:>7.2}", row.args_bytes);
    }
    let (calls, sqs, wcu) = GO_CYCLE;
    let usd = prices::usd_per_million(wcu, 0.0, sqs);
    println!("  Go reference: {calls} DynamoDB and {sqs} SQS calls, {wcu} WCU: at least {usd:.2}");
}

/// Nothing due, no worker: what the two ticks cost a month.
pub(crate) fn print_idle(rows: &[Row]) {
    let idle = [Operation::TickSchedulerIdle, Operation::TickAuditIdle, Operation::TickCronIdle].map(Operation::name);
    let smallest = rows.iter().map(|row| row.args_bytes).min();
    let ticks: Vec<_> =
        rows.iter().filter(|row| Some(row.args_bytes) == smallest && idle.contains(&row.operation.as_str())).collect();
    let sum = |of: fn(&Row) -> f64| ticks.iter().map(|row| of(row)).sum::<f64>();
    let calls = sum(|row| row.dynamodb_calls + row.sqs_calls);
    let usd = prices::usd_per_million(sum(|row| row.wcu), sum(|row| row.rcu), sum(|row| row.sqs_calls));
    println!(
        "\nAn idle month: {calls:.0} calls a minute, {:.2} USD for DynamoDB and SQS, {:.2} USD for {} invocations",
        usd * MINUTES_A_MONTH / 1e6,
        2.0 * MINUTES_A_MONTH / 1e6 * prices::INVOCATIONS,
        2.0 * MINUTES_A_MONTH,
    );
}

fn number(value: f64) -> String {
    if (value - value.round()).abs() < 1e-9 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_folded() {
        let actions = ["a", "b", "b", "a"].map(str::to_owned);
        assert_eq!(folded(&actions), "a, 2 x b, a");
    }
}
