//! A client that goes away does not take its request along, and neither does a server that is told to stop.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use ojs_api::auth::Keyring;
use ojs_api::config::MAX_BODY_BYTES;
use ojs_api::{Api, Running, router, serve};
use ojs_core::Engine;
use ojs_fault_injection::{Fault, Plan, Then, Wire};
use ojs_model::job::Job;
use ojs_testkit::{TestStack, fields};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::support::{ACK, JOBS};

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_is_carried_out_although_its_client_has_gone() {
    let stack = TestStack::start().await;
    let router = stack.http().router();
    for _ in 0..20 {
        stack.enqueue(json!({})).await;
        let job = stack.fetch("w", 1).await.remove(0);
        let body = Body::from(json!({"job_id": job.id.as_str()}).to_string());
        let request = Request::post(ACK).header("content-type", "application/json").body(body).unwrap();
        // As a server drops the request of a connection that is closed: after it has begun, before it is answered.
        tokio::select! {
            biased;
            _ = router.clone().oneshot(request) => {}
            () = std::future::ready(()) => {}
        }
        completed(&stack, job.id.as_str()).await;
    }
    stack.stop().await;
}

/// Waits until the job is completed: the clock of the engine stands still, so no lease can lapse meanwhile.
async fn completed(stack: &TestStack, id: &str) {
    let http = stack.http();
    for _ in 0..2_000 {
        let request = Request::get(format!("{JOBS}/{id}")).body(Body::empty()).unwrap();
        if http.send(request).await.body["job"]["state"] == "completed" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("job {id} was not completed");
}

/// A server on a port of its own, and what stops it.
struct Server {
    addr: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

async fn server(engine: Arc<Engine>, grace: Duration) -> Server {
    let running = Running::default();
    let api = Api {
        engine,
        keys: Arc::new(Keyring::open()),
        max_body_bytes: MAX_BODY_BYTES,
        telemetry: ojs_telemetry::Telemetry::default(),
        started: Instant::now(),
        running: running.clone(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(async move {
        let stopped = async move { stopped.await.unwrap() };
        serve(listener, router(api, axum::Router::new()), &running, stopped, grace).await
    });
    Server { addr, stop, served }
}

/// Sends an ack, and closes the connection once its first AWS call is under way.
async fn ack_and_leave(server: &Server, wire: &Wire, job: &Job) {
    // Nothing is disturbed: the plan counts the calls.
    wire.disturb(Plan { at: usize::MAX, fault: Fault::NotSent, then: Then::Continue });
    let body = json!({"job_id": job.id.as_str()}).to_string();
    let head = "POST /ojs/v1/workers/ack HTTP/1.1\r\nhost: x\r\ncontent-type: application/json";
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut client = TcpStream::connect(server.addr).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    while wire.disturbed_calls() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_first_ends_the_requests_whose_clients_have_gone() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    let step = json!({"type": "test", "args": []});
    let chain = json!({"type": "chain", "steps": [step.clone(), step]});
    Box::pin(stack.engine.create_workflow(fields(&chain))).await.unwrap();
    let job = stack.fetch("w", 1).await.remove(0);
    wire.set_latency(Duration::from_millis(20));
    let server = server(engine, Duration::from_secs(60)).await;
    ack_and_leave(&server, &wire, &job).await;
    server.stop.send(()).unwrap();
    server.served.await.unwrap().unwrap();
    // The clock has not moved: no lease has lapsed.
    assert_eq!(stack.fetch("w", 10).await.len(), 1, "the next step");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_does_not_wait_for_ever() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    stack.enqueue(json!({})).await;
    let job = stack.fetch("w", 1).await.remove(0);
    wire.set_latency(Duration::from_secs(600));
    let server = server(engine, Duration::from_millis(50)).await;
    ack_and_leave(&server, &wire, &job).await;
    server.stop.send(()).unwrap();
    server.served.await.unwrap().unwrap();
    stack.stop().await;
}
