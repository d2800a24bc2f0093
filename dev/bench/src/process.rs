//! The API as a process: how soon it serves, and what memory it takes.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use ojs_core::{Settings, SystemClock};
use reqwest::Client;
use serde::Serialize;
use serde_json::{Value, json};

use crate::Outcome;
use crate::args::Args;
use crate::machine::rss_kib;
use crate::speed::ARGS_BYTES;
use crate::stage::Stage;
use crate::{lab, machine};

/// How long a process may take until it serves.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests of the load before the last look at its memory, and how many at a time.
const LOAD: usize = 2_000;
const LOAD_CLIENTS: usize = 16;
const QUEUE: &str = "default";

/// What is said of processes.
#[derive(Debug, Serialize)]
pub(crate) struct Process {
    /// `None` where the binary is not built.
    api: Option<ApiProcess>,
    /// This process: engine, bare clients and both emulators with their jobs.
    own_rss_kib: Option<u64>,
}

/// Medians over several starts; memory of the last.
#[derive(Debug, Serialize)]
struct ApiProcess {
    binary_bytes: u64,
    starts: usize,
    /// From exec to the answer of `GET /ojs/manifest`.
    exec_to_ready_ms: f64,
    /// The first opens connections and looks up the queue.
    first_enqueue_ms: f64,
    second_enqueue_ms: f64,
    rss_ready_kib: Option<u64>,
    rss_after_two_kib: Option<u64>,
    rss_after_load_kib: Option<u64>,
    load_requests: usize,
}

pub(crate) async fn run(args: &Args) -> Outcome<Process> {
    let own_rss_kib = machine::rss_kib(std::process::id());
    let api = std::env::current_exe()?.with_file_name("api");
    if !api.is_file() {
        println!("\n{} is not built (cargo build --release -p ojs-api-main): its start is not measured", api.display());
        return Ok(Process { api: None, own_rss_kib });
    }
    let stage = Stage::start().await?;
    // Table and queue are there, as on AWS; so the API is told the default names.
    let engine = stage.engine(&Settings::default(), None, Arc::new(SystemClock)).await?;
    engine.enqueue(lab::request(&lab::args_of(ARGS_BYTES), QUEUE, &json!({}))?).await?;
    let starts = if args.quick { 1 } else { 7 };
    let mut measured = Vec::new();
    for start in 1..=starts {
        measured.push(one_start(&api, &stage, start == starts).await?);
    }
    stage.stop().await;
    let median = |of: fn(&Start) -> f64| {
        let mut values: Vec<f64> = measured.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let last = measured.last().ok_or("no start")?;
    let api = ApiProcess {
        binary_bytes: std::fs::metadata(&api)?.len(),
        starts,
        exec_to_ready_ms: median(|s| s.ready_ms),
        first_enqueue_ms: median(|s| s.first_ms),
        second_enqueue_ms: median(|s| s.second_ms),
        rss_ready_kib: last.rss_ready_kib,
        rss_after_two_kib: last.rss_after_two_kib,
        rss_after_load_kib: last.rss_after_load_kib,
        load_requests: LOAD,
    };
    Ok(Process { api: Some(api), own_rss_kib })
}

pub(crate) fn print(process: &Process) {
    let mib = |kib: Option<u64>| kib.map_or("?".to_owned(), |kib| format!("{:.1} MiB", kib as f64 / 1_024.0));
    println!();
    if let Some(api) = &process.api {
        println!(
            "API process (binary {:.1} MiB): exec to ready {:.1} ms, first enqueue {:.1} ms, second {:.1} ms (medians \
             of {} starts)",
            api.binary_bytes as f64 / 1_048_576.0,
            api.exec_to_ready_ms,
            api.first_enqueue_ms,
            api.second_enqueue_ms,
            api.starts
        );
        println!(
            "RSS: ready {}, after two requests {}, after {} more at {LOAD_CLIENTS} clients {}",
            mib(api.rss_ready_kib),
            mib(api.rss_after_two_kib),
            api.load_requests,
            mib(api.rss_after_load_kib)
        );
    }
    println!("RSS of the benchmark itself, emulators and their jobs included: {}", mib(process.own_rss_kib));
}

struct Start {
    ready_ms: f64,
    first_ms: f64,
    second_ms: f64,
    rss_ready_kib: Option<u64>,
    rss_after_two_kib: Option<u64>,
    rss_after_load_kib: Option<u64>,
}

async fn one_start(api: &Path, stage: &Stage, with_load: bool) -> Outcome<Start> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let url = format!("http://127.0.0.1:{port}/ojs");
    let client = Client::builder().timeout(Duration::from_secs(10)).build()?;
    let job = lab::body(&lab::args_of(ARGS_BYTES), QUEUE, &json!({}));

    let started = Instant::now();
    let mut process = Running(command(api, stage, port).spawn()?);
    let pid = process.0.id();
    while client.get(format!("{url}/manifest")).send().await.is_err() {
        if let Some(status) = process.0.try_wait()? {
            return Err(format!("the API stopped: {status}").into());
        }
        if started.elapsed() > PATIENCE {
            return Err("the API does not serve".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let ready_ms = ms(started.elapsed());
    let rss_ready_kib = rss_kib(pid);
    let first_ms = enqueue(&client, &url, &job).await?;
    let second_ms = enqueue(&client, &url, &job).await?;
    let rss_after_two_kib = rss_kib(pid);
    if with_load {
        let load = stream::iter(0..LOAD).map(|_| Ok(enqueue(&client, &url, &job)));
        load.try_for_each_concurrent(LOAD_CLIENTS, |request| async { request.await.map(|_| ()) }).await?;
    }
    Ok(Start { ready_ms, first_ms, second_ms, rss_ready_kib, rss_after_two_kib, rss_after_load_kib: rss_kib(pid) })
}

fn command(api: &Path, stage: &Stage, port: u16) -> Command {
    let mut command = Command::new(PathBuf::from(api));
    command
        .env("AWS_ENDPOINT_URL_DYNAMODB", stage.aws.dynamodb.url())
        .env("AWS_ENDPOINT_URL_SQS", stage.aws.sqs.url())
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_REGION", "us-east-1")
        .env("OJS_HOST", "127.0.0.1")
        .env("OJS_PORT", port.to_string())
        .env("OJS_ALLOW_INSECURE_NO_AUTH", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // What the caller set for another stack, or for Lambda, is not meant for this process.
    for name in ["AWS_LAMBDA_RUNTIME_API", "AWS_ENDPOINT_URL", "DYNAMODB_TABLE", "SQS_QUEUE_PREFIX", "OJS_API_KEY"] {
        command.env_remove(name);
    }
    command
}

async fn enqueue(client: &Client, url: &str, job: &Value) -> Outcome<f64> {
    let started = Instant::now();
    client.post(format!("{url}/v1/jobs")).json(job).send().await?.error_for_status()?.bytes().await?;
    Ok(ms(started.elapsed()))
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 100.0
}

/// Ends with the benchmark.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
