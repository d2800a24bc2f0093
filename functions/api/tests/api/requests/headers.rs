//! Every answer has the standard headers, whatever the method, the status and the client's own headers.
#![allow(clippy::unwrap_used)]

use crate::support;

use axum::body::Body;
use http::Request;
use ojs_api::auth::ApiKeys;
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::JobId;
use ojs_testkit::{Answer, TestStack};
use serde_json::json;
use support::*;
use tower::ServiceExt;

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
        for accept in [None, Some("text/html"), Some("*/*"), Some("application/json;q=0, */*;q=0")] {
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

/// The name of the media type changes, nothing else (ADR 0037).
#[tokio::test]
async fn clients_that_accept_plain_json_alone_get_its_name() {
    let app = App::start().await;
    let id = app.enqueue(json!({})).await;
    let http = app.stack.http();
    for (accept, wanted) in [
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("application/json, text/plain, */*", MEDIA_TYPE),
        ("application/openjobspec+json, application/json", MEDIA_TYPE),
        (MEDIA_TYPE, MEDIA_TYPE),
        ("application/*", MEDIA_TYPE),
        ("", MEDIA_TYPE),
    ] {
        for (path, status) in [(job_path(&id), 200), (job_path(NOBODY), 404), (FETCH.to_owned(), 405)] {
            let send = async |accept: &str| {
                let request = Request::get(&path).header("accept", accept).header("x-request-id", "same");
                http.send(request.body(Body::empty()).unwrap()).await
            };
            let (answer, plain) = (send(accept).await, send("*/*").await);
            assert_eq!((answer.status.as_u16(), &answer.body), (status, &plain.body), "{accept} {path}");
            assert_eq!(answer.headers["content-type"], wanted, "{accept} {path}");
            assert_eq!(answer.headers["x-ojs-media-type"], MEDIA_TYPE);
        }
    }
    // Bulk requests make their answers themselves.
    let request = Request::post("/ojs/v1/jobs/bulk").header("accept", "application/json");
    let answer = http.send(request.body(Body::from(r#"{"jobs":[{"type":"a","args":[]}]}"#)).unwrap()).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (201, &"application/json".parse().unwrap()));
    app.stop().await;
}

#[tokio::test]
async fn slashes_at_the_end_of_a_path_do_not_matter() {
    let app = App::start().await;
    let id = app.enqueue(json!({})).await;
    for (path, status) in [
        (format!("{}/", job_path(&id)), 200),
        (format!("{}//", job_path(&id)), 200),
        (format!("{QUEUES}/?limit=1"), 200),
        ("/ojs/v1/health/".to_owned(), 200),
        ("/ojs/manifest/".to_owned(), 200),
        (format!("{FETCH}/"), 405),
        ("/".to_owned(), 404),
        ("//".to_owned(), 404),
        ("/nowhere/".to_owned(), 404),
        ("/ojs/v1//health".to_owned(), 404),
    ] {
        let answer = app.get(&path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    let page = app.get(&format!("{QUEUES}/?limit=1")).await;
    assert_eq!(page.body["pagination"]["limit"], 1);
    let made = app.post(&format!("{JOBS}/"), json!({"type": "a", "args": []})).await;
    assert_eq!(made.status, 201);
    // The rights are those of the route.
    let keys = ApiKeys::from_lookup(|name| (name == "OJS_API_KEY").then(|| "a-test-key".to_owned())).unwrap();
    let closed = app.stack.http_on(&app.stack.engine, keys);
    assert_eq!(closed.call("GET", &format!("{QUEUES}/"), None).await.status, 401);
    app.stop().await;
}

#[tokio::test]
async fn pages_of_configured_origins_may_call() {
    let app = App::start().await;
    let keys = ApiKeys::from_lookup(|name| (name == "OJS_API_KEY").then(|| "a-test-key".to_owned())).unwrap();
    let router = app.stack.http_on(&app.stack.engine, keys).router();
    let origin = "https://jobs.example.com";
    let send = async |origins: &str, method: &str, origin: Option<&str>, preflight: bool| {
        let app = ojs_api::cors::allow(router.clone(), ojs_api::cors::Origins::parse(origins).unwrap());
        let mut request = Request::builder().method(method).uri(JOBS);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if preflight {
            request = request.header("access-control-request-method", "POST");
        }
        app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    let allowed = |answer: &http::Response<Body>| {
        answer.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap().to_owned())
    };
    let configured = "http://localhost:3000, https://Jobs.example.com";
    let answer = send(configured, "OPTIONS", Some(origin), true).await;
    assert_eq!((answer.status().as_u16(), allowed(&answer).as_deref()), (204, Some(origin)));
    for (name, part) in [
        ("access-control-allow-methods", "PATCH"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-max-age", "600"),
        ("vary", "origin"),
    ] {
        assert!(answer.headers()[name].to_str().unwrap().contains(part), "{name}");
    }
    // The request itself still needs its key, and the page may read the refusal.
    let answer = send(configured, "POST", Some(origin), false).await;
    assert_eq!((answer.status().as_u16(), allowed(&answer).as_deref()), (401, Some(origin)));
    assert!(answer.headers()["access-control-expose-headers"].to_str().unwrap().contains("retry-after"));
    let answer = send("*", "OPTIONS", Some(origin), true).await;
    assert_eq!((allowed(&answer).as_deref(), answer.headers().get("vary")), (Some("*"), None));
    for (origins, method, origin, preflight, status) in [
        (configured, "OPTIONS", Some("https://evil.example.com"), true, 204),
        (configured, "OPTIONS", Some("null"), true, 204),
        (configured, "POST", Some("https://jobs.example.com.evil.org"), false, 401),
        (configured, "OPTIONS", None, true, 401),
        (configured, "OPTIONS", None, false, 401),
        ("", "OPTIONS", Some(origin), true, 401),
    ] {
        let answer = send(origins, method, origin, preflight).await;
        assert_eq!((answer.status().as_u16(), allowed(&answer)), (status, None), "{origins} {method} {origin:?}");
        assert!(!answer.headers().contains_key("access-control-allow-methods"));
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
