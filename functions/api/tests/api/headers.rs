//! Every answer has the standard headers, whatever the method, the status and the client's own headers.
#![allow(clippy::unwrap_used)]

use crate::support;

use axum::body::Body;
use http::Request;
use ojs_api::auth::ApiKeys;
use ojs_core::JobId;
use ojs_testkit::{Answer, TestStack};
use ojs_wire::{Fault, Plan, Then};
use serde_json::json;
use support::*;

#[tokio::test]
async fn success_and_error_have_the_standard_headers() {
    let app = App::start().await;
    let id = app.enqueue(json!({})).await;
    for (path, status) in [
        ("/ojs/manifest", 200),
        ("/ojs/v1/health", 200),
        (&job_path(&id), 200),
        (QUEUES, 200),
        (DEAD, 200),
        (EVENTS, 200),
        (&job_path(NOBODY), 404),
        ("/nowhere", 404),
        (FETCH, 405),
    ] {
        for accept in [None, Some("application/json"), Some("text/html"), Some("application/json;q=0, */*;q=0")] {
            let mut request = Request::get(path);
            if let Some(accept) = accept {
                request = request.header("accept", accept);
            }
            let answer = send_raw(&app.stack, request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, status, "{path}");
            assert_framed(&answer.headers, &serde_json::from_str(&answer.text).unwrap());
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_request_id_is_echoed_or_made() {
    let app = App::start().await;
    let http = app.stack.http();
    let long = "x".repeat(128);
    for (path, status) in [("/ojs/v1/health", 200), ("/nowhere", 404), (FETCH, 405)] {
        for id in ["client-1", "A b/c:d", "req_019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f", &long] {
            let answer = http.send(Request::get(path).header("x-request-id", id).body(Body::empty()).unwrap()).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.headers["x-request-id"]),
                (status, &http::HeaderValue::from_str(id).unwrap())
            );
            if status != 200 {
                assert_eq!(answer.body["error"]["request_id"], id);
            }
        }
        let too_long = "x".repeat(129);
        for id in ["", &too_long, "caf\u{e9}"] {
            let request = Request::get(path).header("x-request-id", id.as_bytes()).body(Body::empty()).unwrap();
            assert_made(&http.send(request).await);
        }
        let (first, second) = (app.get(path).await, app.get(path).await);
        assert_made(&first);
        assert_made(&second);
        assert_ne!(first.headers["x-request-id"], second.headers["x-request-id"]);
    }
    app.stop().await;
}

fn assert_made(answer: &Answer) {
    let id = answer.headers["x-request-id"].to_str().unwrap();
    assert!(id.strip_prefix("req_").and_then(JobId::parse).is_some(), "{id}");
}

#[tokio::test]
async fn a_created_job_is_where_location_says() {
    let app = App::start().await;
    let made = app.post(JOBS, json!({"type": "a", "args": []})).await;
    let chosen = app.post(JOBS, json!({"type": "a", "args": [], "id": NOBODY})).await;
    for answer in [&made, &chosen] {
        assert_eq!(answer.status, 201);
        let job = app.get(answer.headers["location"].to_str().unwrap()).await;
        assert_eq!(job.body["job"], answer.body["job"]);
        assert!(!job.headers.contains_key("location"));
    }
    assert_eq!(chosen.body["job"]["id"], NOBODY);
    let taken = app.post(JOBS, json!({"type": "a", "args": [], "id": NOBODY})).await;
    assert_eq!((taken.status.as_u16(), taken.code()), (409, "duplicate"));
    assert_eq!(taken.body["error"]["details"]["existing_job_id"], NOBODY);
    assert_eq!(taken.body["error"]["details"]["existing_job_state"], "available");
    assert!(!taken.headers.contains_key("location"));
    app.stop().await;
}

#[tokio::test]
async fn unusual_methods_are_answered() {
    let app = App::start().await;
    let id = app.enqueue(json!({})).await;
    let job = job_path(&id);
    for (method, path, status) in [
        ("HEAD", "/ojs/v1/health", 200),
        ("HEAD", "/ojs/manifest", 200),
        ("HEAD", job.as_str(), 200),
        ("HEAD", QUEUES, 200),
        ("HEAD", &job_path(NOBODY), 404),
        ("HEAD", "/nowhere", 404),
        ("HEAD", JOBS, 405),
        ("OPTIONS", JOBS, 405),
        ("OPTIONS", &job, 405),
        ("OPTIONS", "/nowhere", 404),
        ("ASSERT", "/", 404),
        ("ASSERT", &job, 405),
        ("CONNECT", "/ojs/v1/health", 405),
        ("PRI", "/ojs/v1/health", 405),
        ("OPTIONS", "*", 404),
        ("CONNECT", "example.com:443", 404),
        ("GET", "http://example.com/ojs/v1/health", 200),
    ] {
        let answer = send_raw(&app.stack, request(method, path, Body::empty())).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert_eq!(answer.headers["ojs-version"], "1.0");
        assert_eq!(answer.headers["content-type"], MEDIA_TYPE);
        assert!(answer.headers.contains_key("x-request-id"));
        assert_eq!(answer.headers.contains_key("allow"), status == 405);
        if method == "HEAD" && status == 200 {
            assert_eq!(answer.text, "", "{path}");
        }
    }
    assert_eq!(app.state(&id).await, "available");
    app.stop().await;
}

#[tokio::test]
async fn a_client_is_told_when_to_try_again() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    let http = stack.http_on(&engine, ApiKeys::open());
    for (fault, status, code) in [
        (Fault::Throttled, 429, "rate_limited"),
        (Fault::Unavailable, 503, "backend_unavailable"),
        (Fault::NotSent, 503, "backend_unavailable"),
        (Fault::LostAnswer, 503, "backend_unavailable"),
    ] {
        let job = job_path(NOBODY);
        let cancel = ("DELETE", job.as_str(), None);
        for (method, path, body) in [
            ("POST", JOBS, Some(json!({"type": "a", "args": []}))),
            ("POST", FETCH, Some(json!({"queues": ["default"]}))),
            ("POST", ACK, Some(json!({"job_id": NOBODY}))),
            ("POST", NACK, Some(json!({"job_id": NOBODY, "error": {"code": "x"}}))),
            ("POST", HEARTBEAT, Some(json!({"worker_id": "w"}))),
            ("GET", &job, None),
            ("GET", QUEUES, None),
            ("GET", DEAD, None),
            ("GET", EVENTS, None),
            cancel,
        ] {
            wire.disturb(Plan { at: 0, fault, then: Then::Repeat });
            let answer = http.call(method, path, body).await;
            wire.calm();
            let what = format!("{fault:?} {method} {path}: {}", answer.body);
            assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{what}");
            assert_framed(&answer.headers, &answer.body);
            assert_error(&answer);
            let seconds: u32 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!(seconds >= 1, "{what}");
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn headers_that_are_no_text_are_refused_as_any_other() {
    let app = App::start().await;
    let http = app.stack.http();
    for (name, status, code) in [("ojs-version", 422, "unsupported"), ("content-type", 400, "invalid_request")] {
        for value in [b"\xff\xfe".as_slice(), b"1.0\x80", "café".as_bytes()] {
            let request = Request::post(JOBS).header(name, value).body(Body::from(r#"{"type":"a","args":[]}"#));
            let answer = http.send(request.unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{name} {value:?}");
            assert_framed(&answer.headers, &answer.body);
            assert_error(&answer);
        }
    }
    for value in [b"\xff".as_slice(), b"none", b"-1", b"99999999999999999999999999"] {
        let request = Request::post(JOBS).header("content-length", value).body(Body::from(r#"{"type":"a","args":[]}"#));
        assert!(http.send(request.unwrap()).await.status.as_u16() < 500, "{value:?}");
    }
    app.stop().await;
}
