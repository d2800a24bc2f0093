//! How long operations take here, beside the same AWS calls issued bare to the same emulators in the same run.

mod bare_ops;
mod engine_ops;
mod http_ops;
mod measure;
mod sample;
mod subject;
mod table;

use std::sync::Arc;

use ojs_core::{Settings, SystemClock};
use ojs_local::{Stack, StackOptions};
use serde::Serialize;

pub(crate) use sample::Sample;

use self::bare_ops::Bare;
use self::engine_ops::InProcess;
use self::http_ops::Http;
use self::measure::{Bench, Operation, alone, side_by_side};
use self::sample::Figures;
use crate::args::Args;
use crate::depth::{self, Depth};
use crate::machine::{self, Machine};
use crate::process::{self, Process};
use crate::stage::Stage;
use crate::{Outcome, lab, report};

/// Clients at a time.
const CLIENTS: [usize; 3] = [1, 16, 64];
/// Clients of the HTTP rows.
const HTTP_CLIENTS: usize = 16;
/// Size of args, bytes.
pub(crate) const ARGS_BYTES: usize = 200;
/// Issue: "p50 at 1 client at most 1.3 times the bare calls".
const MAX_RATIO: f64 = 1.3;
/// Operations a second to stock for, before anything is known.
const FIRST_GUESS: f64 = 2_000.0;

/// speed.json.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    /// By a clock that was not checked, s since the Unix epoch.
    date_unchecked_seconds: u64,
    rows: Vec<Row>,
    depth: Vec<Depth>,
    process: Process,
}

/// One operation by so many clients.
#[derive(Debug, Serialize)]
struct Row {
    operation: String,
    clients: usize,
    engine: Figures,
    /// `None` where there is nothing to compare.
    bare: Option<Figures>,
    ratio_p50: Option<f64>,
}

/// Measures everything; answers whether all depths are kept.
pub(crate) async fn run(args: &Args) -> Outcome<bool> {
    let mut rows = in_process(args).await?;
    rows.extend(over_http(args).await?);
    let report = Report {
        machine: Machine::here(),
        date_unchecked_seconds: machine::unchecked_seconds(),
        rows,
        depth: depth::run(args).await?,
        process: process::run(args).await?,
    };
    table::print(&report.machine, &report.rows);
    depth::print(&report.depth);
    process::print(&report.process);
    report::write(&args.out, "speed.json", &report)?;
    for row in report.rows.iter().filter(|row| row.clients == 1 && row.ratio_p50.is_some_and(|r| r > MAX_RATIO)) {
        // A wall time on a machine that others use is no reason to fail.
        eprintln!("warning: {} at 1 client takes more than {MAX_RATIO} times the bare calls", row.operation);
    }
    let too_deep = depth::too_deep(&report.depth);
    for sentence in &too_deep {
        eprintln!("too deep: {sentence}");
    }
    Ok(too_deep.is_empty())
}

async fn in_process(args: &Args) -> Outcome<Vec<Row>> {
    let stage = Stage::start().await?;
    let settings =
        |name: &str| Settings { table: format!("speed-{name}"), queue_prefix: name.to_owned(), ..Settings::default() };
    let job_args = lab::args_of(ARGS_BYTES);
    let engine = stage.engine(&settings("engine"), None, Arc::new(SystemClock)).await?;
    let engine = Arc::new(InProcess { engine, args: job_args.clone() });
    let bare_settings = settings("bare");
    let maker = stage.engine(&bare_settings, None, Arc::new(SystemClock)).await?;
    let clients = stage.clients(&bare_settings, None).await;
    let bare = Arc::new(Bare::new(clients, bare_settings, maker, job_args).await?);
    let mut rows = Vec::new();
    for clients in CLIENTS {
        let mut rates = (FIRST_GUESS, FIRST_GUESS);
        for operation in Operation::ALL {
            let mut ours = Bench::start(&engine, operation, clients, rates.0).await?;
            let mut theirs = Bench::start(&bare, operation, clients, rates.1).await?;
            side_by_side(&mut ours, &mut theirs, args.cell()).await?;
            rates = (ours.sample.rate(), theirs.sample.rate());
            let (figures, bare) = (ours.sample.figures(), theirs.sample.figures());
            let ratio = (figures.p50_us / bare.p50_us * 1_000.0).round() / 1_000.0;
            rows.push(Row {
                operation: operation.name().to_owned(),
                clients,
                engine: figures,
                bare: Some(bare),
                ratio_p50: Some(ratio),
            });
        }
    }
    stage.stop().await;
    Ok(rows)
}

async fn over_http(args: &Args) -> Outcome<Vec<Row>> {
    let stack = Stack::start(StackOptions::default()).await?;
    let http = Arc::new(Http::new(&stack, lab::args_of(ARGS_BYTES)));
    let mut rows = Vec::new();
    for operation in [Operation::Enqueue, Operation::Cycle] {
        let mut bench = Bench::start(&http, operation, HTTP_CLIENTS, FIRST_GUESS).await?;
        alone(&mut bench, args.cell()).await?;
        rows.push(Row {
            operation: format!("http_{}", operation.name()),
            clients: HTTP_CLIENTS,
            engine: bench.sample.figures(),
            bare: None,
            ratio_p50: None,
        });
    }
    stack.shutdown().await;
    Ok(rows)
}
