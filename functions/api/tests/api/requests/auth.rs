//! Nothing is answered without a key but 401, and any of the keys opens everything.
#![allow(clippy::unwrap_used)]

use crate::support;

use axum::body::Body;
use http::Request;
use ojs_api::Route;
use ojs_api::auth::{ApiKeys, Role};
use ojs_testkit::{Answer, Http, TestStack};
use serde_json::json;
use support::*;

fn keys() -> ApiKeys {
    ApiKeys::from_lookup(|name| (name == "OJS_API_KEY").then(|| "first-key-1, second-key-2".to_owned())).unwrap()
}

/// Every route of the router's table, as a request for a thing that is not there.
fn table() -> Vec<(String, String)> {
    let concrete = |route: Route| (route.method.to_string(), route.path.replace("{id}", NOBODY));
    ojs_api::routes().into_iter().map(concrete).collect()
}

/// Every route of the router, and some that are none.
fn routes() -> Vec<(String, String)> {
    let others = [
        ("HEAD", "/ojs/v1/health"),
        ("GET", "/"),
        ("GET", "/nowhere"),
        ("POST", "/ojs/v1/nowhere"),
        ("PATCH", JOBS),
        ("OPTIONS", JOBS),
        ("ASSERT", JOBS),
        ("GET", "/ojs/v1/jobs/%ff"),
    ];
    let others = others.map(|(method, path)| (method.to_owned(), path.to_owned()));
    table().into_iter().chain(others).collect()
}

async fn send(http: &Http, method: &str, path: &str, authorization: Option<&[u8]>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    http.send(request.body(Body::from(r#"{"type":"a","args":[]}"#)).unwrap()).await
}

#[tokio::test]
async fn every_route_is_shut_without_a_key() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    let http = stack.http_on(&engine, keys());
    let wrong: [Option<&[u8]>; 16] = [
        None,
        Some(b""),
        Some(b"Bearer"),
        Some(b"Bearer "),
        Some(b"Bearer wrong-key-1"),
        Some(b"Bearer first-key-"),
        Some(b"Bearer first-key-12"),
        Some(b"Bearer FIRST-KEY-1"),
        Some(b"Bearer first-key-1, second-key-2"),
        Some(b"Bearer first-key-1 second-key-2"),
        Some(b"Basic first-key-1"),
        Some(b"first-key-1"),
        Some(b"Bearerfirst-key-1"),
        Some(b"Bearer\xa0first-key-1"),
        Some(b"Bearer \xff\xfe"),
        Some(b"\xffearer first-key-1"),
    ];
    for (method, path) in routes() {
        for authorization in wrong {
            let answer = send(&http, &method, &path, authorization).await;
            let what = format!("{method} {path} {:?}", authorization.map(String::from_utf8_lossy));
            assert_eq!(answer.status, 401, "{what}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer", "{what}");
            if method == "HEAD" {
                assert!(answer.body.is_null(), "{what}");
                continue;
            }
            assert_eq!(answer.code(), "unauthenticated", "{what}");
            assert_framed(&answer.headers, &answer.body);
            assert_error(&answer);
            assert!(!answer.body.to_string().contains("key-1"), "{what}: {}", answer.body);
        }
    }
    // Not even a question was asked, let alone answered.
    assert!(wire.take_calls().is_empty());
    // A bad body, a bad type and a bad version are nothing that a stranger learns of.
    for (name, value) in [("content-type", "text/plain"), ("ojs-version", "9.9"), ("content-length", "99999999")] {
        let request = Request::post(JOBS).header(name, value).body(Body::from("{")).unwrap();
        assert_eq!(http.send(request).await.status, 401, "{name}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn each_key_opens_every_route() {
    let stack = TestStack::start().await;
    let http = stack.http_on(&stack.engine, keys());
    let right: [&[u8]; 5] = [
        b"Bearer first-key-1",
        b"Bearer second-key-2",
        b"bearer second-key-2",
        b"BEARER first-key-1",
        b"Bearer   first-key-1 ",
    ];
    for (method, path) in routes() {
        for authorization in right {
            let answer = send(&http, &method, &path, Some(authorization)).await;
            let what = format!("{method} {path}: {}", answer.body);
            assert!(answer.status != 401 && answer.status.as_u16() < 500, "{what}");
            assert!(!answer.headers.contains_key("www-authenticate"), "{what}");
        }
    }
    stack.stop().await;
}

/// A key for each role: `key-of-the-worker` and so on.
fn keys_with_roles() -> ApiKeys {
    let keys = Role::ALL
        .map(Role::as_str)
        .map(|role| json!({"name": format!("the-{role}"), "roles": [role], "key": format!("key-of-the-{role}")}));
    ApiKeys::parse(&json!({"keys": keys}).to_string()).unwrap()
}

/// What the router serves, each role on each route: 403 exactly where the table's line does not name it.
#[tokio::test]
async fn every_route_asks_for_the_roles_of_its_line() {
    let stack = TestStack::start().await;
    let http = stack.http_on(&stack.engine, keys_with_roles());
    let routes = ojs_api::routes();
    assert!(routes.len() >= 40);
    for (route, (method, path)) in routes.iter().zip(table()) {
        for role in Role::ALL {
            let key = format!("Bearer key-of-the-{}", role.as_str());
            let answer = send(&http, &method, &path, Some(key.as_bytes())).await;
            let what = format!("{}: {method} {path}: {} {}", role.as_str(), answer.status, answer.body);
            assert_eq!(answer.status != 403, route.operation.roles().contains(&role), "{what}");
            assert!(answer.status != 401 && answer.status != 405, "{what}");
        }
    }
    stack.stop().await;
}

/// Each role on each kind of route: 403 with what it lacks, or anything but that.
#[tokio::test]
async fn a_key_opens_what_its_roles_may() {
    let stack = TestStack::start().await;
    let roles = Role::ALL.map(Role::as_str);
    let http = stack.http_on(&stack.engine, keys_with_roles());
    let job = job_path(NOBODY);
    for (method, path, may) in [
        ("GET", "/ojs/manifest", "producer worker reader operator admin"),
        ("GET", "/ojs/v1/health", "producer worker reader operator admin"),
        ("POST", JOBS, "producer operator admin"),
        ("POST", "/ojs/v1/jobs/batch", "producer operator admin"),
        ("POST", "/ojs/v1/jobs/bulk", "producer operator admin"),
        ("POST", "/ojs/v1/workflows", "producer operator admin"),
        ("POST", FETCH, "worker admin"),
        ("POST", ACK, "worker admin"),
        ("POST", NACK, "worker admin"),
        ("POST", HEARTBEAT, "worker admin"),
        ("GET", job.as_str(), "reader operator admin"),
        ("HEAD", job.as_str(), "reader operator admin"),
        ("GET", QUEUES, "reader operator admin"),
        ("GET", EVENTS, "reader operator admin"),
        ("GET", "/metrics", "reader operator admin"),
        ("DELETE", job.as_str(), "operator admin"),
        ("DELETE", "/ojs/v1/workflows/x", "operator admin"),
        ("POST", "/ojs/v1/jobs/bulk/cancel", "admin"),
        ("POST", "/ojs/v1/jobs/bulk/delete", "admin"),
        ("POST", CRON, "admin"),
        ("DELETE", "/ojs/v1/cron/a", "admin"),
        ("POST", "/ojs/v1/queues/a/pause", "admin"),
        ("PUT", "/ojs/v1/queues/a/config", "admin"),
        ("PUT", "/ojs/v1/rate-limits/a", "admin"),
        ("POST", "/ojs/v1/dead-letter/x/retry", "admin"),
        ("DELETE", "/ojs/v1/dead-letter/x", "admin"),
        ("GET", "/nowhere", "producer worker reader operator admin"),
    ] {
        for role in roles {
            let answer = send(&http, method, path, Some(format!("Bearer key-of-the-{role}").as_bytes())).await;
            let what = format!("{role}: {method} {path}: {} {}", answer.status, answer.body);
            assert_eq!(answer.status != 403, may.split(' ').any(|one| one == role), "{what}");
            assert_ne!(answer.status, 401, "{what}");
            if answer.status == 403 && method != "HEAD" {
                assert_error(&answer);
                let error = &answer.body["error"];
                assert_eq!(
                    (&error["code"], &error["retryable"]),
                    (&json!("permission_denied"), &json!(false)),
                    "{what}"
                );
                assert!(error["details"]["required_roles"].as_array().unwrap().contains(&json!("admin")), "{what}");
            }
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn an_open_api_takes_any_authorization() {
    let stack = TestStack::start().await;
    let http = stack.http();
    for authorization in [None, Some(b"Bearer anything".as_slice()), Some(b"Basic x")] {
        assert_eq!(send(&http, "GET", QUEUES, authorization).await.status, 200);
        assert_eq!(send(&http, "POST", JOBS, authorization).await.body["job"]["args"], json!([]));
    }
    stack.stop().await;
}
