//! What each operation takes of AWS, counted on its wire.

mod advanced;
mod cron;
mod meter;
mod operations;
mod table;
mod tally;
mod workflows;

use serde::Serialize;
use serde_json::json;

pub(crate) use operations::Operation;

use self::meter::Meter;
use self::tally::Tally;
use crate::args::Args;
use crate::stage::Stage;
use crate::{Outcome, budget, report};

/// Sizes of args, bytes.
const SIZES: [usize; 3] = [200, 1_024, 10_240];
/// What is counted with the listing index off, too.
const UNLISTED: [Operation; 4] =
    [Operation::Enqueue, Operation::EnqueueUnique, Operation::EnqueueBatch, Operation::Cycle];

/// One operation at one size.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) operation: String,
    pub(crate) args_bytes: usize,
    pub(crate) listing_index: bool,
    pub(crate) dynamodb_calls: f64,
    pub(crate) sqs_calls: f64,
    pub(crate) wcu: f64,
    pub(crate) rcu: f64,
    pub(crate) dynamodb_bytes: f64,
    pub(crate) sqs_bytes: f64,
    pub(crate) repetitions: usize,
    /// The calls of the last repetition, undivided.
    pub(crate) actions: Vec<String>,
}

/// Counts everything; answers whether all budgets are kept.
pub(crate) async fn run(args: &Args) -> Outcome<bool> {
    let stage = Stage::start().await?;
    let mut rows = Vec::new();
    let mut sizes = None;
    for args_bytes in SIZES {
        let meter = Meter::start(&stage, args_bytes, true).await?;
        measure(&meter, Operation::ALL, args, &mut rows).await?;
        let unlisted = Meter::start(&stage, args_bytes, false).await?;
        measure(&unlisted, &UNLISTED, args, &mut rows).await?;
        if args_bytes == SIZES[0] {
            let job = meter.lab.active("default", &json!({})).await?;
            sizes = Some((meter.item_bytes(&job.id).await?, meter.emulated_handle_bytes()));
        }
    }
    stage.stop().await;

    table::print(&rows);
    if let Some(((item, handle), emulated)) = sizes {
        table::print_item(SIZES[0], item, handle, emulated);
    }
    table::print_prices(&rows);
    table::print_idle(&rows);
    report::write(&args.out, "cost.json", &rows)?;
    let excesses = budget::excesses(&rows);
    for excess in &excesses {
        eprintln!("over budget: {excess}");
    }
    if excesses.is_empty() {
        println!("all {} budgets are kept", budget::BUDGETS.len());
    }
    Ok(excesses.is_empty())
}

async fn measure(meter: &Meter, operations: &[Operation], args: &Args, rows: &mut Vec<Row>) -> Outcome<()> {
    // A definition has no room for 200 steps with large args.
    let fits = |operation: &&Operation| operation.growth().is_none() || meter.args_bytes == SIZES[0];
    for operation in operations.iter().filter(fits) {
        let named = |failure| format!("{} at {} B: {failure}", operation.name(), meter.args_bytes);
        let repetitions = match operation.growth() {
            Some(_) => 1,
            None => args.repetitions().div_ceil(if operation.is_heavy() { 5 } else { 1 }),
        };
        // The instance is warm: its queue is known, its connections are open.
        operation.run(meter).await.map_err(named)?;
        let mut tallies = Vec::new();
        for _ in 0..repetitions {
            tallies.push(operation.run(meter).await.map_err(named)?);
        }
        let Tally { dynamodb_calls, sqs_calls, wcu, rcu, dynamodb_bytes, sqs_bytes, actions } = Tally::mean(tallies);
        rows.push(Row {
            operation: operation.name().to_owned(),
            args_bytes: meter.args_bytes,
            listing_index: meter.listing_index,
            dynamodb_calls,
            sqs_calls,
            wcu,
            rcu,
            dynamodb_bytes,
            sqs_bytes,
            repetitions,
            actions,
        });
    }
    Ok(())
}
