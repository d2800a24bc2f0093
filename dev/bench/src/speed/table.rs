//! The results for people.

use super::{MAX_RATIO, Row};
use crate::machine::Machine;

pub(super) fn print(machine: &Machine, rows: &[Row]) {
    println!("\n{machine}");
    println!("Speed at {} B of args; engine, bare calls and emulators share the cores.", super::ARGS_BYTES);
    println!("Ratio: p50 of the engine over p50 of the bare calls (goal at 1 client: at most {MAX_RATIO}).");
    println!(
        "{:<13} {:>7} | {:>8} {:>9} {:>9} | {:>8} {:>9} {:>9} | {:>6}",
        "operation", "clients", "engine/s", "p50 us", "p99 us", "bare/s", "p50 us", "p99 us", "ratio"
    );
    for row in rows {
        let ours = &row.engine;
        print!(
            "{:<13} {:>7} | {:>8.0} {:>9.0} {:>9.0} |",
            row.operation, row.clients, ours.rate, ours.p50_us, ours.p99_us
        );
        match (&row.bare, row.ratio_p50) {
            (Some(bare), Some(ratio)) => {
                println!(" {:>8.0} {:>9.0} {:>9.0} | {ratio:>6.2}", bare.rate, bare.p50_us, bare.p99_us);
            }
            _ => println!(" {:>8} {:>9} {:>9} | {:>6}", "-", "-", "-", "-"),
        }
    }
    let empty: u64 = rows.iter().map(|row| row.engine.empty_fetches).sum();
    let bare: u64 = rows.iter().filter_map(|row| row.bare.as_ref()).map(|bare| bare.empty_fetches).sum();
    println!("Fetches repeated because the job was still on its way: engine {empty}, bare {bare}.");
}
