//! Whatever comes in, the answer is an OJS answer and never a fault of the server; and JSON comes back as it came.
#![allow(clippy::unwrap_used)]

use crate::support;

use http::StatusCode;
use ojs_testkit::TestStack;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use support::*;
use tokio::runtime::Runtime;

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 256, ..Config::default() })
}

/// A runtime and a stack for all cases of a test.
fn start() -> (Runtime, TestStack) {
    let runtime = Runtime::new().unwrap();
    let stack = runtime.block_on(TestStack::start());
    (runtime, stack)
}

/// Every POST, with a body that it takes.
fn good_requests(id: &str, token: &str) -> Vec<(String, Value)> {
    let retry = json!({
        "max_attempts": 3, "initial_interval": "PT1S", "max_interval": "PT5M", "backoff_coefficient": 2.0,
        "jitter": true, "non_retryable_errors": ["Fatal", "auth.*"], "on_exhaustion": "dead_letter",
        "backoff_strategy": "linear",
    });
    let job = json!({
        "type": "a.b", "args": [1, "x", {"y": [null]}], "meta": {"k": 1}, "schema": "urn:x", "x_more": {"z": 1.5},
        "options": {
            "queue": "default", "priority": 5, "timeout_ms": 5_000, "visibility_timeout_ms": 30_000, "retry": retry,
            "scheduled_at": "2026-11-24T09:00:01Z", "expires_at": "+PT1H", "tags": ["t"], "unique": {"keys": ["type"]},
            "rate_limit": {"max_per_second": 5}, "metadata": {"m": 2}, "pending": false,
        },
    });
    let error = json!({
        "code": "handler_error", "type": "T", "message": "m", "retryable": true, "details": {"error_class": "K"},
        "backtrace": ["a"],
    });
    vec![
        (JOBS.into(), job),
        (
            FETCH.into(),
            json!({"queues": ["default", "other"], "count": 3, "worker_id": "w", "visibility_timeout_ms": 5_000}),
        ),
        (ACK.into(), json!({"job_id": id, "worker_id": "w", "lease_token": token, "result": {"r": [1]}})),
        (NACK.into(), json!({"job_id": id, "worker_id": "w", "lease_token": token, "requeue": false, "error": error})),
        (
            HEARTBEAT.into(),
            json!({
                "worker_id": "w", "active_jobs": [id], "active_job_ids": [id], "visibility_timeout_ms": 5_000,
                "lease_tokens": {id: token},
            }),
        ),
        (format!("{DEAD}/{id}/retry"), json!({"override": {"queue": "other", "meta": {"a": 1}, "retry": retry}})),
        (format!("{JOBS}/{id}/activate"), json!({})),
    ]
}

/// What is done to a good body.
#[derive(Debug, Clone)]
enum Harm {
    Truncate(prop::sample::Index),
    Flip(Vec<(prop::sample::Index, u8)>),
    Insert(prop::sample::Index, Vec<u8>),
    Replace(prop::sample::Index, Value),
    Remove(prop::sample::Index),
}

fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        prop::sample::select(vec![0_i64, 1, -1, 100, 101, 1_000, 9_007_199_254_740_993, i64::MAX, i64::MIN])
            .prop_map(|n| json!(n)),
        any::<String>().prop_map(|s| json!(s)),
        prop::sample::select(vec![
            "",
            "+PT",
            "+P100Y",
            "P1D",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "a.*",
            "\0"
        ])
        .prop_map(|s| json!(s)),
        prop::collection::vec(any::<String>(), 0..4).prop_map(|s| json!(s)),
        prop::collection::hash_map(any::<String>(), any::<i32>(), 0..4).prop_map(|m| json!(m)),
        Just(json!([[[[]]]])),
    ]
}

fn harm() -> impl Strategy<Value = Harm> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        1 => index().prop_map(Harm::Truncate),
        2 => prop::collection::vec((index(), any::<u8>()), 1..4).prop_map(Harm::Flip),
        1 => (index(), prop::collection::vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
        5 => (index(), odd_value()).prop_map(|(at, value)| Harm::Replace(at, value)),
        1 => index().prop_map(Harm::Remove),
    ]
}

/// The places in a value, but for the value itself.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut child = |name: String, value: &Value| {
        let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        found.push(place.clone());
        places(value, &place, found);
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| child(i.to_string(), item)),
        Value::Object(members) => members.iter().for_each(|(name, item)| child(name.clone(), item)),
        _ => {}
    }
}

fn harmed(mut body: Value, harms: &[Harm]) -> Vec<u8> {
    for harm in harms {
        let mut all = Vec::new();
        places(&body, "", &mut all);
        if all.is_empty() {
            break;
        }
        match harm {
            Harm::Replace(at, with) => *body.pointer_mut(&all[at.index(all.len())]).unwrap() = with.clone(),
            Harm::Remove(at) => {
                let (parent, name) = all[at.index(all.len())].rsplit_once('/').unwrap();
                if let Some(Value::Object(members)) = body.pointer_mut(parent) {
                    members.remove(&name.replace("~1", "/").replace("~0", "~"));
                }
            }
            _ => {}
        }
    }
    let mut bytes = body.to_string().into_bytes();
    for harm in harms {
        match harm {
            Harm::Truncate(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Harm::Flip(flips) if !bytes.is_empty() => {
                for (at, mask) in flips {
                    let at = at.index(bytes.len());
                    bytes[at] ^= mask;
                }
            }
            Harm::Insert(at, more) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, more.iter().copied());
            }
            _ => {}
        }
    }
    bytes
}

async fn assert_answered(stack: &TestStack, path: &str, body: Vec<u8>) -> Result<StatusCode, TestCaseError> {
    let answer = send_raw(stack, request("POST", path, body)).await;
    prop_assert!(answer.status.as_u16() < 500, "{path}: {} {}", answer.status, answer.text);
    let body: Value =
        serde_json::from_str(&answer.text).map_err(|e| TestCaseError::fail(format!("{e}: {}", answer.text)))?;
    assert_framed(&answer.headers, &body);
    prop_assert_eq!(body.get("error").is_some(), !answer.status.is_success());
    Ok(answer.status)
}

#[test]
fn noise_is_refused() {
    let (runtime, stack) = start();
    let paths: Vec<String> = good_requests(NOBODY, "t").into_iter().map(|(path, _)| path).collect();
    let noise = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        any::<String>().prop_map(String::into_bytes),
        "[\\[\\]{}\",:0-9a-z\\\\ ]{0,80}".prop_map(String::into_bytes),
    ];
    let result = runner(64).run(&noise, |noise| {
        paths.iter().try_for_each(|path| runtime.block_on(assert_answered(&stack, path, noise.clone())).map(|_| ()))
    });
    runtime.block_on(stack.stop());
    result.unwrap();
}

#[test]
fn harmed_requests_are_answered() {
    let (runtime, stack) = start();
    // A job that a worker holds, so that ack, nack and heartbeat get past the door.
    let held = std::cell::RefCell::new((NOBODY.to_owned(), String::new()));
    let harms = prop::collection::vec(harm(), 1..4);
    let result = runner(64).run(&harms, |harms| {
        runtime.block_on(async {
            let (mut id, mut token) = held.borrow().clone();
            let known = stack.engine.get(&ojs_model::JobId::parse(&id).unwrap()).await;
            if known.is_ok_and(|job| job.lease.is_none()) || id == NOBODY {
                stack.enqueue(json!({"retry": {"max_attempts": 1_000}})).await;
                let job = stack.fetch("w", 100).await.pop().unwrap();
                (id, token) = (job.id.as_str().to_owned(), job.lease.unwrap().token);
                held.replace((id.clone(), token.clone()));
            }
            for (path, body) in good_requests(&id, &token) {
                assert_answered(&stack, &path, harmed(body, &harms)).await?;
            }
            stack.clock.advance_ms(1_000);
            // What has been accepted can be read again.
            for path in [QUEUES, DEAD, &format!("{EVENTS}?queues=default,other")] {
                let answer = send_raw(&stack, request("GET", path, "")).await;
                prop_assert_eq!(answer.status, 200, "{}", answer.text);
                prop_assert!(serde_json::from_str::<Value>(&answer.text).is_ok(), "{}", answer.text);
            }
            Ok(())
        })
    });
    runtime.block_on(stack.stop());
    result.unwrap();
}

/// JSON text as no serialiser would write it: many digits, every escape, odd spaces, members of the same name.
fn json_text() -> impl Strategy<Value = String> {
    let string = prop::collection::vec(
        prop_oneof![
            4 => any::<char>().prop_map(|c| match c {
                '"' => "\\\"".to_owned(),
                '\\' => "\\\\".to_owned(),
                c if (c as u32) < 0x20 => format!("\\u{:04X}", c as u32),
                c => c.to_string(),
            }),
            1 => prop::sample::select(vec![
                "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0000", "\\u00e9", "\\u00E9", "\\ud83d\\ude00", "\u{7f}",
                "\u{2028}", "[", "{", "}", "]", ",", ":", " ",
            ])
            .prop_map(str::to_owned),
        ],
        0..12,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()));
    let number = "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?";
    let scalar = prop_oneof![
        3 => string.clone(),
        3 => number.prop_map(|n| n),
        1 => prop::sample::select(vec!["null", "true", "false", "-0", "1.10", "1e308", "1e-999", "0.1e-7"]).prop_map(str::to_owned),
    ];
    let space = prop::sample::select(vec!["", " ", "\n", "\t ", "\r\n"]);
    scalar.prop_recursive(6, 40, 6, move |inner| {
        let items = prop::collection::vec((inner.clone(), space.clone()), 0..6).prop_map(|items| {
            let items: Vec<String> = items.into_iter().map(|(item, space)| format!("{space}{item}{space}")).collect();
            format!("[{}]", items.join(","))
        });
        let members = prop::collection::vec((string.clone(), inner, space.clone()), 0..6).prop_map(|members| {
            let members: Vec<String> =
                members.into_iter().map(|(name, item, space)| format!("{space}{name}{space}:{item}")).collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![items, members]
    })
}

#[derive(Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    args: &'a RawValue,
    #[serde(borrow)]
    meta: &'a RawValue,
    #[serde(borrow)]
    x_extra: &'a RawValue,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct One<'a> {
    #[serde(borrow)]
    job: Shown<'a>,
}

#[derive(Deserialize)]
struct Many<'a> {
    #[serde(borrow)]
    jobs: Vec<Shown<'a>>,
}

#[test]
fn json_comes_back_as_it_came() {
    let (runtime, stack) = start();
    let result = runner(64).run(&(json_text(), json_text(), json_text()), |(a, b, c)| {
        let (args, meta) = (format!("[{a}, {b}]"), format!(r#"{{"k":{b},"l" : {c}}}"#));
        let body = format!(r#"{{"type":"a","args": {args} ,"meta": {meta}, "x_extra": {c} }}"#);
        runtime.block_on(async {
            let same = |shown: &Shown<'_>| {
                prop_assert_eq!(shown.args.get(), &args);
                prop_assert_eq!(shown.meta.get(), &meta);
                prop_assert_eq!(shown.x_extra.get(), &c);
                Ok(())
            };
            let created = send_raw(&stack, request("POST", JOBS, body)).await;
            prop_assert_eq!(created.status, 201, "{}", created.text);
            same(&serde_json::from_str::<One<'_>>(&created.text).unwrap().job)?;
            let path = created.headers["location"].to_str().unwrap().to_owned();
            let read = send_raw(&stack, request("GET", &path, "")).await;
            same(&serde_json::from_str::<One<'_>>(&read.text).unwrap().job)?;
            let fetched = send_raw(&stack, request("POST", FETCH, r#"{"queues":["default"]}"#)).await;
            let jobs = serde_json::from_str::<Many<'_>>(&fetched.text).unwrap().jobs;
            prop_assert_eq!(jobs.len(), 1);
            same(&jobs[0])?;
            let ack = format!(r#"{{"job_id":"{}","result":{a} }}"#, path.rsplit('/').next().unwrap());
            prop_assert_eq!(send_raw(&stack, request("POST", ACK, ack)).await.status, 200);
            let read = send_raw(&stack, request("GET", &path, "")).await;
            let job = serde_json::from_str::<One<'_>>(&read.text).unwrap().job;
            same(&job)?;
            if a != "null" {
                prop_assert_eq!(job.result.unwrap().get(), &a);
            }
            Ok(())
        })
    });
    runtime.block_on(stack.stop());
    result.unwrap();
}
