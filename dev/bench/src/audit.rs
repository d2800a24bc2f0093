//! What a pass of the audit takes over a large table: most of its jobs have ended, some wait, a few have lost their messages.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use ojs_core::Settings;
use ojs_core::engine::{Audited, TickBudget};
use ojs_fault_injection::{Service, Wire};
use ojs_model::Ids;
use serde::Serialize;
use serde_json::json;

use crate::args::Args;
use crate::clock::Ahead;
use crate::lab::{Lab, ack};
use crate::machine::Machine;
use crate::prices::{READ_UNITS, SQS_REQUESTS, WRITE_UNITS};
use crate::stage::Stage;
use crate::{Outcome, report};

/// Size of the jobs' args, bytes.
const ARGS_BYTES: usize = 200;
/// Of a thousand jobs so many wait, and so many of these have waited for long.
const LIVE: usize = 50;
const STANDING: usize = 5;
/// Items of one write, and writes under way at a time.
const WRITE: usize = 25;
const CONCURRENCY: usize = 8;
/// Items that one tick reads.
const PER_TICK: usize = 20_000;
/// How far the audit's clock is ahead, ms.
const AHEAD_MS: i64 = 3_600_000;

/// audit.json.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    items: usize,
    live: usize,
    resent: usize,
    ticks: usize,
    seconds: f64,
    scans: usize,
    dynamodb_calls: usize,
    sqs_calls: usize,
    read_units: f64,
    write_units: f64,
    usd: f64,
}

/// Fills a table, passes through it once and answers whether what stood still was found.
pub(crate) async fn run(args: &Args) -> Outcome<bool> {
    let thousands = if args.quick { 2 } else { args.audit_thousands as usize };
    let stage = Stage::start().await?;
    let wire = Wire::new();
    let settings = Settings { table: "audit".to_owned(), audit_items_per_tick: PER_TICK, ..Settings::default() };
    let lab = Lab::start(&stage, &settings, wire.http_client(), ARGS_BYTES).await?;
    let dynamodb = stage.clients(&settings, None).await.dynamodb;
    let started = Instant::now();
    fill(&lab, &dynamodb, &settings.table, thousands).boxed_local().await?;
    println!("\nAudit: {thousands},000 jobs written in {:.0} s", started.elapsed().as_secs_f64());

    let http: SharedHttpClient = wire.http_client();
    let later = stage.engine(&settings, Some(http), Arc::new(Ahead(AHEAD_MS))).await?;
    wire.meter();
    drop(wire.take_calls());
    let started = Instant::now();
    let (mut ticks, mut items, mut resent) = (0, 0, 0);
    let mut done = Audited::default();
    while !done.passed {
        done = later.audit(TickBudget::UNLIMITED).boxed_local().await?;
        (ticks, items, resent) = (ticks + 1, items + done.items, resent + done.resent);
    }
    let seconds = started.elapsed().as_secs_f64();
    let calls = wire.take_calls();
    stage.stop().await;

    let count = |wanted: &dyn Fn(&ojs_fault_injection::Call) -> bool| calls.iter().filter(|call| wanted(call)).count();
    let read_units: f64 = calls.iter().map(|call| call.read_units).sum();
    let write_units: f64 = calls.iter().map(|call| call.write_units).sum();
    let sqs_calls = count(&|call| call.service == Service::Sqs);
    #[allow(clippy::cast_precision_loss, reason = "some thousands of calls")]
    let usd = (read_units * READ_UNITS + write_units * WRITE_UNITS + sqs_calls as f64 * SQS_REQUESTS) / 1e6;
    let report = Report {
        machine: Machine::here(),
        items,
        live: thousands * LIVE,
        resent,
        ticks,
        seconds,
        scans: count(&|call| call.action == "Scan"),
        dynamodb_calls: count(&|call| call.service == Service::DynamoDb),
        sqs_calls,
        read_units,
        write_units,
        usd,
    };
    println!(
        "one pass: {items} items in {ticks} ticks and {seconds:.1} s; {} scans, {} DynamoDB and {sqs_calls} SQS calls, \
         {read_units:.0} read and {write_units:.0} write units, USD {usd:.4}; {resent} messages",
        report.scans, report.dynamodb_calls
    );
    report::write(&args.out, "audit.json", &report)?;
    Ok(resent == thousands * STANDING)
}

/// Writes copies of three jobs under ids of their own: one that has ended, one that waits, one that has waited for long when the
/// audit's clock looks.
async fn fill(lab: &Lab, dynamodb: &aws_sdk_dynamodb::Client, table: &str, thousands: usize) -> Outcome<()> {
    let ended = lab.active("ended", &json!({})).boxed_local().await?;
    lab.engine.ack(ack(&ended)).boxed_local().await?;
    let stands = lab.enqueue("stands", &json!({})).boxed_local().await?;
    // Due when the audit's clock looks: it waits, and not for long.
    let fresh = lab.enqueue("fresh", &json!({"scheduled_at": "+PT14M"})).boxed_local().await?;
    let mut items = Vec::new();
    for job in [&ended, &fresh, &stands] {
        let key = ojs_core::store::keys::job(&job.id);
        let item = dynamodb.get_item().table_name(table).set_key(Some(key)).send().boxed().await?.item;
        items.push(item.ok_or("a job has no item")?);
    }
    let later_ms = lab.engine.now_ms() + AHEAD_MS;
    items[1].insert("du".to_owned(), AttributeValue::N(later_ms.to_string()));
    let (ids, now) = (Ids::new(), lab.engine.now_ms());
    // Made when their turn comes: a million of them take gigabytes.
    let writes = (0..thousands * 1_000 / WRITE).map(|write| {
        let puts = (write * WRITE..(write + 1) * WRITE).map(|at| {
            let which = match at % 1_000 {
                0..STANDING => 2,
                STANDING..LIVE => 1,
                _ => 0,
            };
            let mut item: HashMap<_, _> = items[which].clone();
            item.insert("pk".to_owned(), AttributeValue::S(ojs_core::store::keys::job_pk(&ids.job_id(now))));
            // The index is not read here, and costs the emulator most of its time.
            item.remove("lp");
            let put = PutRequest::builder().set_item(Some(item)).build()?;
            Ok::<_, crate::Failure>(WriteRequest::builder().put_request(put).build())
        });
        let puts = puts.collect::<Outcome<Vec<_>>>();
        // The SDK's future is deep.
        let write = async move {
            dynamodb.batch_write_item().request_items(table, puts?).send().boxed().await?;
            Ok::<_, crate::Failure>(())
        };
        write.boxed()
    });
    stream::iter(writes).buffer_unordered(CONCURRENCY).try_collect::<Vec<()>>().await?;
    // The three that were copied are over.
    for job in [&fresh, &stands] {
        lab.engine.cancel(&job.id).boxed_local().await?;
    }
    Ok(())
}
