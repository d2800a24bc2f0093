//! A client that goes away does not take its request along.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::body::Body;
use http::Request;
use ojs_testkit::TestStack;
use serde_json::json;
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
