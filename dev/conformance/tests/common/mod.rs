//! A tiny server and suites in a temporary folder.

use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

/// Longest wait for the companion at the barrier; reached only when steps do not overlap.
const LONELY: Duration = Duration::from_secs(5);

/// Status that `/reset` answers.
#[derive(Clone, Copy)]
pub(crate) struct ResetStatus(pub(crate) u16);

#[derive(Clone)]
struct Shared {
    log: Arc<Mutex<Vec<String>>>,
    barrier: Arc<Barrier>,
    reset: ResetStatus,
}

/// A running server; it ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) url: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(ResetStatus(204)).await
    }

    pub(crate) async fn start_with(reset: ResetStatus) -> Self {
        let log = Arc::<Mutex<Vec<String>>>::default();
        let shared = Shared { log: log.clone(), barrier: Arc::new(Barrier::new(2)), reset };
        let router = Router::new()
            .route("/reset", post(handle_reset))
            .route("/meet", any(handle_meet))
            .route("/moved", any(|| async { (StatusCode::FOUND, [("location", "/echo")]) }))
            .fallback(handle_echo)
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, log }
    }

    /// What was asked for so far, without the probe of the start.
    pub(crate) fn log(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| !line.contains("/ojs/v1/health")).cloned().collect()
    }
}

async fn handle_reset(State(shared): State<Shared>, body: Bytes) -> StatusCode {
    shared.log.lock().unwrap().push(format!("RESET {} bytes", body.len()));
    StatusCode::from_u16(shared.reset.0).unwrap()
}

/// Answers only when two requests are here at the same time.
async fn handle_meet(State(shared): State<Shared>) -> StatusCode {
    match tokio::time::timeout(LONELY, shared.barrier.wait()).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// Tells what was received.
async fn handle_echo(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri);
    shared.log.lock().unwrap().push(line);
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let answer = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "text": String::from_utf8_lossy(&body),
        "body": serde_json::from_slice::<Value>(&body).ok(),
        "content_type": header("content-type"),
        "content_length": header("content-length"),
        "authorization": header("authorization"),
        "items": [{"id": "a", "n": 1}, {"id": "b", "n": 2}],
    });
    let mut headers = HeaderMap::new();
    headers.insert("x-echo", "yes".parse().unwrap());
    (headers, answer.to_string()).into_response()
}

/// A folder with one file per case.
pub(crate) fn suites(cases: &[Value]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (i, case) in cases.iter().enumerate() {
        write(folder.path(), &format!("level-{}/{i}.json", case["level"]), &case.to_string());
    }
    folder
}

pub(crate) fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A case of level 0.
pub(crate) fn case(id: &str, steps: Value) -> Value {
    json!({"test_id": id, "level": 0, "name": format!("name-of-{id}"), "steps": steps})
}

/// A step that passes against the echo, and one that does not.
pub(crate) fn good() -> Value {
    json!([{"id": "g", "action": "GET", "path": "/echo", "assertions": {"status": 200}}])
}

pub(crate) fn bad() -> Value {
    json!([{"id": "b", "action": "GET", "path": "/echo", "assertions": {"status": 200, "body": {"$.method": "PUT"}}}])
}

/// Runs the program.
pub(crate) async fn run(suites: &Path, arguments: &[&str]) -> Run {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ojs-conformance"));
    command.arg("--suites").arg(suites).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    Run::from(output)
}

/// What came of running the program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Run {
    pub(crate) fn last_line(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }

    /// Ids in the order of the table.
    pub(crate) fn ids(&self) -> Vec<&str> {
        self.out.lines().filter(|line| line.ends_with(" ms")).filter_map(|line| line.split(' ').next()).collect()
    }
}
