//! Every bad request is refused with the right status, code and field, before anything is stored or sent.
#![allow(clippy::unwrap_used)]

use crate::support;

use axum::body::{Body, Bytes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use ojs_api::auth::ApiKeys;
use ojs_api::config::MAX_BODY_BYTES;
use ojs_fault_injection::Wire;
use ojs_model::JobId;
use ojs_model::job::MAX_ID_AHEAD_MS;
use ojs_testkit::{Answer, Http, START_MS, TestStack};
use serde_json::{Value, json};
use support::*;

/// One bad request and what must be said about it.
struct Row {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    /// What `error.details` must hold.
    details: Vec<(&'static str, Value)>,
    /// What the message must name.
    names: Option<&'static str>,
}

impl Row {
    fn new(
        method: &'static str,
        path: impl Into<String>,
        body: impl Into<Vec<u8>>,
        status: u16,
        code: &'static str,
    ) -> Self {
        Self {
            method,
            path: path.into(),
            headers: vec![("content-type", "application/json")],
            body: body.into(),
            status,
            code,
            details: Vec::new(),
            names: None,
        }
    }

    /// A POST that breaks the rule of a field: 400 `invalid_request`.
    fn field(path: &str, body: impl Into<Vec<u8>>, field: &'static str) -> Self {
        Self::new("POST", path, body, 400, "invalid_request").detail("field", field).naming(field)
    }

    /// A GET whose parameter is bad.
    fn parameter(path_and_query: impl Into<String>, field: &'static str) -> Self {
        Self::new("GET", path_and_query, "", 400, "invalid_request").detail("field", field)
    }

    fn detail(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    fn naming(mut self, text: &'static str) -> Self {
        self.names = Some(text);
        self
    }

    fn headers(mut self, headers: &[(&'static str, &'static str)]) -> Self {
        self.headers = headers.to_vec();
        self
    }

    fn shown(&self) -> String {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(200).collect();
        format!("{} {} {:?} {body}", self.method, self.path.chars().take(200).collect::<String>(), self.headers)
    }

    async fn send(&self, http: &Http) -> Answer {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        http.send(request.body(Body::from(self.body.clone())).unwrap()).await
    }
}

/// A stack whose API's AWS calls are all seen.
struct Watched {
    stack: TestStack,
    http: Http,
    wire: Wire,
}

impl Watched {
    async fn start() -> Self {
        let stack = TestStack::start().await;
        let (engine, wire) = stack.instance(1).await;
        wire.meter();
        let http = stack.http_on(&engine, ApiKeys::open());
        Self { stack, http, wire }
    }

    /// The request had no effect: a 404 may have asked AWS, anything else did not even do that.
    fn nothing_happened(&self, what: &str, status: u16) {
        for call in self.wire.take_calls() {
            assert_eq!(status, 404, "{what}: called {}", call.action);
            let reads = ["GetItem", "BatchGetItem", "Query", "GetQueueUrl"].contains(&call.action.as_str());
            assert!(reads || call.status == 400, "{what}: {} took effect", call.action);
        }
        assert_eq!(self.stack.aws.sqs.message_count(), 0, "{what}: sent a message");
    }

    async fn is_empty(&self) {
        let http = self.stack.http();
        let read = async |path: &str| http.call("GET", path, None).await;
        assert_eq!(read(QUEUES).await.body["queues"], json!([]));
        assert_eq!(read(DEAD).await.body["jobs"], json!([]));
        assert_eq!(read(CRON).await.body["crons"], json!([]));
        assert_eq!(read(&job_path(NOBODY)).await.status, 404);
        let fetched = http.call("POST", FETCH, Some(json!({"queues": ["default"], "count": 10}))).await;
        assert_eq!(fetched.body, json!({"jobs": []}));
    }
}

fn assert_refused(what: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{what}: {}", answer.body);
    assert_framed(&answer.headers, &answer.body);
    assert_error(answer);
}

async fn all_refused(rows: Vec<Row>) {
    let watched = Watched::start().await;
    let mut wrong = Vec::new();
    for row in rows {
        let what = row.shown();
        let answer = row.send(&watched.http).await;
        // All deviations of a table are shown at once.
        let error = &answer.body["error"];
        let as_wanted = (answer.status.as_u16(), answer.code()) == (row.status, row.code)
            && row.details.iter().all(|(name, value)| error["details"][name] == *value)
            && row.names.is_none_or(|name| error["message"].as_str().is_some_and(|m| m.contains(name)));
        if !as_wanted {
            let wanted = (row.status, row.code, &row.details, row.names);
            wrong.push(format!("{what}\n    wanted {wanted:?}\n    got {} {}", answer.status, answer.body));
            drop(watched.wire.take_calls());
            continue;
        }
        assert_refused(&what, &answer, row.status, row.code);
        watched.nothing_happened(&what, row.status);
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    watched.is_empty().await;
    watched.stack.stop().await;
}

/// An enqueue request with this top-level member.
fn with(member: &str) -> String {
    format!(r#"{{"type":"a.b","args":[],{member}}}"#)
}

fn options(member: &str) -> String {
    with(&format!(r#""options":{{{member}}}"#))
}

/// The id of a client whose clock shows `ms`.
fn id_at(ms: i64) -> String {
    JobId::derived(ms, &[1; 10]).to_string()
}

/// Bodies that are no JSON at all.
fn not_json() -> Vec<Vec<u8>> {
    let texts = [
        "",
        " \r\n\t",
        "{",
        "}",
        "nope",
        "{'type':'a.b','args':[]}",
        r#"{"type":"a.b","args":[]} x"#,
        r#"{"type":"a.b","args":[],}"#,
        r#"{"type":"a.b" "args":[]}"#,
        r#"{"type":"a.b","args":[],"x":}"#,
        r#"{"type":"a.b","args":[NaN]}"#,
        r#"{"type":"a.b","args":[Infinity]}"#,
        r#"{"type":"a.b","args":[-Infinity]}"#,
        r#"{"type":"a.b","args":[01]}"#,
        r#"{"type":"a.b","args":[+1]}"#,
        r#"{"type":"a.b","args":[.5]}"#,
        r#"{"type":"a.b","args":[1.]}"#,
        r#"{"type":"a.b","args":[0x10]}"#,
        r#"{"type":"a.b","args":[1e]}"#,
        r#"{"type":"a.b","args":[True]}"#,
        r#"{"type":"a.b","args":["\x41"]}"#,
        r#"{"type":"a.b","args":["\u12"]}"#,
        r#"{"type":"a.b","args":["open]}"#,
        "{\"type\":\"a.b\",\"args\":[\"raw\nnewline\"]}",
        "{\"type\":\"a.b\",\"args\":[] /* comment */}",
        "\u{feff}{\"type\":\"a.b\",\"args\":[]}",
        r#"{"\ud800":1}"#,
        r#"{"type":"a.b","args":[]}{"type":"a.b","args":[]}"#,
    ];
    let mut bodies: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    bodies.extend([
        b"{\"type\":\"a.b\",\"args\":[\"\xff\"]}".to_vec(),
        b"{\"type\":\"a.b\",\"args\":[\"\xc3\"]}".to_vec(),
        b"{\"type\":\"a.b\",\"args\":[\"\xed\xa0\x80\"]}".to_vec(),
        b"\xfe\xff\x00{\x00}".to_vec(),
        b"\x00".to_vec(),
        b"\x1f\x8b\x08\x00".to_vec(),
    ]);
    bodies
}

/// Bodies that are JSON, but no object, or nest too deep.
fn no_objects() -> Vec<Vec<u8>> {
    let deep = |open: &str, close: &str, levels: usize| {
        format!(r#"{{"type":"a.b","args":{}1{}}}"#, open.repeat(levels), close.repeat(levels)).into_bytes()
    };
    let mut bodies: Vec<Vec<u8>> =
        ["[]", "null", "true", "false", "5", "1e999", "\"text\"", "[{}]", " [] "].map(|t| t.as_bytes().to_vec()).into();
    bodies.extend([
        deep("[", "]", 100),
        deep("[", "]", 1_000_000),
        deep(r#"{"a":"#, "}", 100),
        "[".repeat(1_000_000).into_bytes(),
        r#"{"a":"#.repeat(800_000).into_bytes(),
    ]);
    bodies
}

fn posts() -> Vec<String> {
    let mut paths: Vec<String> = [JOBS, FETCH, ACK, NACK, HEARTBEAT, CRON].map(str::to_owned).into();
    paths.extend([format!("{JOBS}/{NOBODY}/activate"), format!("{DEAD}/{NOBODY}/retry")]);
    paths
}

#[tokio::test]
async fn bodies_must_be_json_objects() {
    let mut rows = Vec::new();
    for path in posts() {
        let optional = path.ends_with("activate") || path.ends_with("retry");
        for body in not_json() {
            if optional && body.trim_ascii().is_empty() {
                continue;
            }
            rows.push(Row::new("POST", &path, body, 400, "invalid_payload"));
        }
        for body in no_objects() {
            rows.push(Row::new("POST", &path, body, 400, "invalid_request").detail("field", "$"));
        }
    }
    all_refused(rows).await;
}

#[tokio::test]
async fn enqueue_fields() {
    let mut rows = Vec::new();
    let mut bad = |body: String, field: &'static str| rows.push(Row::field(JOBS, body, field));

    bad("{}".into(), "type");
    bad(r#"{"args":[]}"#.into(), "type");
    // Valid JSON that the parsers of other languages choke on.
    for value in ["1e309", "[-1E+400]", r#""\ud83d""#, r#"{"a":["\ude00"]}"#] {
        bad(format!(r#"{{"type":"a.b","args":[{value}]}}"#), "args");
        bad(with(&format!(r#""meta":{{"a":{value}}}"#)), "meta");
        bad(with(&format!(r#""x_a":{value}"#)), "$");
        bad(options(&format!(r#""metadata":{{"a":{value}}}"#)), "meta");
        bad(options(&format!(r#""unique":{{"a":{value}}}"#)), "options.unique");
    }
    let long = format!("\"{}\"", "a".repeat(256));
    let long_segments = format!("\"{}a\"", "ab.".repeat(85));
    for value in [
        "null",
        "5",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""Email.Send""#,
        r#""email send""#,
        r#""1email.send""#,
        r#""email@send!""#,
        r#""a..b""#,
        r#"".a""#,
        r#""a.""#,
        r#""a.1""#,
        r#""ä""#,
        r#""_a""#,
        r#""-a""#,
        r#""a\n""#,
        r#"" a""#,
        r#""a/b""#,
        r#""\ud800""#,
        r#""a\u0000""#,
        &long,
        &long_segments,
    ] {
        bad(format!(r#"{{"type":{value},"args":[]}}"#), "type");
    }
    bad(r#"{"type":"a.b"}"#.into(), "args");
    for value in ["null", "5", "true", "{}", r#""[]""#, r#"{"0":1}"#, "1e999"] {
        bad(format!(r#"{{"type":"a.b","args":{value}}}"#), "args");
    }
    for value in [
        "5",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""plain""#,
        r#""550e8400-e29b-41d4-a716-446655440000""#,
        r#""019461A8-1A2B-7C3D-8E4F-5A6B7C8D9E0F""#,
        r#""019461a8-1a2b-7c3d-ce4f-5a6b7c8d9e0f""#,
        r#""019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f ""#,
        r#""019461a81a2b7c3d8e4f5a6b7c8d9e0f""#,
        r#""{019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f}""#,
        r#""\ud800""#,
    ] {
        bad(with(&format!(r#""id":{value}"#)), "id");
    }
    // More than five minutes ahead of the server's clock.
    for ahead in ["ffffffff-ffff-7fff-bfff-ffffffffffff".to_owned(), id_at(START_MS + MAX_ID_AHEAD_MS + 1)] {
        bad(with(&format!(r#""id":"{ahead}""#)), "id");
    }
    for value in ["5", "true", "[]", r#""{}""#] {
        bad(with(&format!(r#""meta":{value}"#)), "meta");
        bad(with(&format!(r#""options":{value}"#)), "options");
        bad(options(&format!(r#""metadata":{value}"#)), "options.metadata");
        bad(options(&format!(r#""unique":{value}"#)), "options.unique");
        bad(options(&format!(r#""unique":{{"keys":[{value}]}}"#)), "options.unique.keys");
        bad(options(&format!(r#""unique":{{"keys":["args"],"args_keys":[{value}]}}"#)), "options.unique.args_keys");
        bad(options(&format!(r#""unique":{{"period":{value}}}"#)), "options.unique.period");
        bad(options(&format!(r#""unique":{{"states":[{value}]}}"#)), "options.unique.states");
        bad(options(&format!(r#""unique":{{"on_conflict":{value}}}"#)), "options.unique.on_conflict");
        bad(options(&format!(r#""rate_limit":{value}"#)), "options.rate_limit");
    }
    for value in ["5", "true", "[]", "{}", r#""\udc00""#] {
        bad(with(&format!(r#""schema":{value}"#)), "schema");
        bad(with(&format!(r#""specversion":{value}"#)), "specversion");
    }
    for value in ["5", r#""true""#, "[]", "{}", "0"] {
        bad(options(&format!(r#""pending":{value}"#)), "options.pending");
    }
    let many = format!("[{}]", vec![r#""t""#; 101].join(","));
    for value in ["5", r#""tag""#, "{}", "[1]", "[null]", r#"[["a"]]"#, r#"["\ud800"]"#, &many] {
        bad(options(&format!(r#""tags":{value}"#)), "options.tags");
        bad(with(&format!(r#""tags":{value}"#)), "tags");
    }
    // A field's rule holds beside a good client id as well, and the id stays free.
    bad(format!(r#"{{"type":"a.b","id":"{NOBODY}"}}"#), "args");
    bad(format!(r#"{{"type":"a.b","args":[],"id":"{NOBODY}","options":{{"priority":101}}}}"#), "options.priority");
    for version in ["2.0", "1", "1.1", "0.9", "", "1.0x", "10.0"] {
        let row = Row::new("POST", JOBS, with(&format!(r#""specversion":"{version}""#)), 422, "unsupported");
        rows.push(row.detail("field", "specversion").detail("supported", "1.0"));
    }
    all_refused(rows).await;
}

#[tokio::test]
async fn enqueue_queues_numbers_and_times() {
    let mut rows = Vec::new();
    let mut bad = |body: String, field: &'static str| rows.push(Row::field(JOBS, body, field));
    let long = format!("\"{}\"", "q".repeat(129));
    for value in [
        r#""""#,
        r#""Default""#,
        r#""my_queue""#,
        r#""my_queue!""#,
        r#""-invalid""#,
        r#"".a""#,
        r#""my queue""#,
        r#""ä""#,
        r#""a/b""#,
        r#""a\n""#,
        r#""a\u0000""#,
        &long,
    ] {
        bad(options(&format!(r#""queue":{value}"#)), "options.queue");
        bad(with(&format!(r#""queue":{value}"#)), "options.queue");
    }
    for value in ["5", "true", "[]", "{}", r#""\ud800""#] {
        bad(options(&format!(r#""queue":{value}"#)), "options.queue");
        bad(with(&format!(r#""queue":{value}"#)), "queue");
    }
    let huge = format!("1{}", "0".repeat(30));
    let minus_huge = format!("-{huge}");
    let digits = "9".repeat(10_000);
    let never_integers = ["1.5", "1e999", "-1e999", "1e-3", r#""5""#, "true", "[]", "{}", &huge, &minus_huge, &digits];
    for value in never_integers.into_iter().chain(["101", "-101", "999999", "101.0", "1.01e2"]) {
        bad(options(&format!(r#""priority":{value}"#)), "options.priority");
        bad(with(&format!(r#""priority":{value}"#)), "priority");
    }
    for value in never_integers.into_iter().chain(["-1", "315360000001", "9223372036854775807"]) {
        bad(options(&format!(r#""timeout_ms":{value}"#)), "options.timeout_ms");
    }
    for value in never_integers.into_iter().chain(["-1", "315360001", r#""PT5S""#]) {
        bad(with(&format!(r#""timeout":{value}"#)), "timeout");
        bad(options(&format!(r#""timeout":{value}"#)), "options.timeout");
    }
    for value in never_integers.into_iter().chain(["-1", "1", "999", "43200001"]) {
        bad(options(&format!(r#""visibility_timeout_ms":{value}"#)), "options.visibility_timeout_ms");
    }
    for value in ["30", "true", "[]", r#""""#, r#""30""#, r#""30s""#, r#""PT""#, r#""PT-5S""#, r#""pt5s""#] {
        bad(options(&format!(r#""visibility_timeout":{value}"#)), "options.visibility_timeout");
    }
    for value in [r#""PT0.5S""#, r#""PT13H""#, r#""P1Y""#] {
        bad(options(&format!(r#""visibility_timeout":{value}"#)), "options.visibility_timeout_ms");
    }
    for value in never_integers.into_iter().chain(["-1", "43201", r#""PT30S""#]) {
        bad(with(&format!(r#""visibility_timeout":{value}"#)), "visibility_timeout");
    }
    let never_times = [
        "5",
        "1795510800000",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""now""#,
        r#""tomorrow""#,
        r#""1795510800""#,
        r#""2030-01-01""#,
        r#""2030-01-01T09:00:00""#,
        r#""2030-01-01 09:00:00Z""#,
        r#""2030-13-01T09:00:00Z""#,
        r#""2030-02-30T09:00:00Z""#,
        r#""2030-01-01T24:01:00Z""#,
        r#""2030-01-01T09:00Z""#,
        r#""2030-01-01T09:00:00+0100""#,
        r#""2030-01-01T09:00:00+01""#,
        r#""2030-01-01T09:00:00Z[UTC]""#,
        r#""2030-01-01T09:00:00.Z""#,
        r#""10000-01-01T00:00:00Z""#,
        r#""+010000-01-01T00:00:00Z""#,
        r#""PT2S""#,
        r#""+2S""#,
        r#""+PT""#,
        r#""+P""#,
        r#""+""#,
        r#""-PT2S""#,
        r#""+PT-2S""#,
        r#""+pt2s""#,
        r#""+PT1.5M""#,
        r#""+P101Y""#,
        r#""+PT99999999999999999999999S""#,
        r#""+PT2S ""#,
    ];
    for value in never_times {
        bad(options(&format!(r#""scheduled_at":{value}"#)), "options.scheduled_at");
        bad(options(&format!(r#""delay_until":{value}"#)), "options.delay_until");
        bad(options(&format!(r#""expires_at":{value}"#)), "options.expires_at");
    }
    bad(with(r#""scheduled_at":5"#), "scheduled_at");
    bad(with(r#""delay_until":5"#), "delay_until");
    bad(with(r#""expires_at":5"#), "expires_at");
    bad(with(r#""scheduled_at":"now""#), "options.scheduled_at");
    bad(with(r#""delay_until":"now""#), "options.delay_until");
    bad(with(r#""expires_at":"now""#), "options.expires_at");
    all_refused(rows).await;
}

/// Retry policies that break a rule, and the field that does.
fn bad_policies() -> Vec<(String, &'static str)> {
    let huge = format!("1{}", "0".repeat(30));
    let mut policies = Vec::new();
    for value in ["-1", "1.5", r#""3""#, "true", "[]", "1e999", "4294967296", &huge] {
        policies.push((format!(r#"{{"max_attempts":{value}}}"#), "max_attempts"));
    }
    for name in ["initial_interval", "max_interval"] {
        for value in
            ["5", "true", "{}", r#""""#, r#""1s""#, r#""PT0S""#, r#""PT-1S""#, r#""P""#, r#""+PT1S""#, r#""P101Y""#]
        {
            policies.push((format!(r#"{{"{name}":{value}}}"#), name));
        }
    }
    for (name, value) in [
        ("initial_interval_ms", "0"),
        ("initial_interval_ms", "-5"),
        ("initial_interval_ms", "1e999"),
        ("max_interval_ms", "0"),
        ("max_interval_ms", r#""5""#),
    ] {
        policies.push((format!(r#"{{"{name}":{value}}}"#), name));
    }
    policies.push((r#"{"initial_interval":"PT2S","max_interval":"PT1S"}"#.into(), "max_interval"));
    policies.push((r#"{"initial_interval_ms":2000,"max_interval_ms":1000}"#.into(), "max_interval"));
    for value in ["0.5", "0", "-1", "0.999999", "1e999", "-1e999", r#""2""#, "true", "[]"] {
        policies.push((format!(r#"{{"backoff_coefficient":{value}}}"#), "backoff_coefficient"));
    }
    for value in ["1", "0", r#""yes""#, "[]"] {
        policies.push((format!(r#"{{"jitter":{value}}}"#), "jitter"));
    }
    let many = format!("[{}]", vec![r#""E""#; 101].join(","));
    for value in [r#""E""#, "[1]", "[null]", "{}", &many] {
        policies.push((format!(r#"{{"non_retryable_errors":{value}}}"#), "non_retryable_errors"));
    }
    for value in ["5", r#""explode""#, r#""""#, r#""DISCARD""#] {
        policies.push((format!(r#"{{"on_exhaustion":{value}}}"#), "on_exhaustion"));
    }
    for value in ["5", r#""fibonacci""#, r#""""#] {
        policies.push((format!(r#"{{"backoff_strategy":{value}}}"#), "backoff_strategy"));
    }
    policies.push((r#"{"backoff_type":5}"#.into(), "backoff_type"));
    for value in ["5", "[]", r#""fast""#, "true"] {
        policies.push((value.into(), "retry"));
    }
    policies
}

#[tokio::test]
async fn retry_policies() {
    let mut rows = Vec::new();
    for (policy, names) in bad_policies() {
        for body in [
            options(&format!(r#""retry":{policy}"#)),
            options(&format!(r#""retry_policy":{policy}"#)),
            with(&format!(r#""retry":{policy}"#)),
        ] {
            rows.push(Row::new("POST", JOBS, body, 422, "validation_error").naming(names));
        }
        let path = format!("{DEAD}/{NOBODY}/retry");
        let body = format!(r#"{{"override":{{"retry":{policy}}}}}"#);
        rows.push(Row::new("POST", path, body, 422, "validation_error").naming(names));
    }
    all_refused(rows).await;
}

#[tokio::test]
async fn fetch_fields() {
    let mut rows = Vec::new();
    let mut bad = |body: String, field: &'static str| rows.push(Row::field(FETCH, body, field));
    let many: Vec<String> = (0..101).map(|i| format!("\"q{i}\"")).collect();
    let many = format!("[{}]", many.join(","));
    let long = format!("[\"{}\"]", "q".repeat(129));
    bad("{}".into(), "queues");
    for value in [
        "null",
        "[]",
        "{}",
        "5",
        r#""default""#,
        "[1]",
        "[null]",
        r#"[["default"]]"#,
        r#"["default",5]"#,
        r#"[""]"#,
        r#"["Default"]"#,
        r#"["default","my_queue"]"#,
        r#"["default","-a"]"#,
        r#"["\ud800"]"#,
        &long,
        &many,
    ] {
        bad(format!(r#"{{"queues":{value}}}"#), "queues");
    }
    let huge = format!("1{}", "0".repeat(30));
    let minus_huge = format!("-{huge}");
    for value in ["0", "-1", "101", "1.5", "1e999", "-1e999", r#""5""#, "true", "[]", "{}", &huge, &minus_huge] {
        bad(format!(r#"{{"queues":["default"],"count":{value}}}"#), "count");
    }
    let long = format!("\"{}\"", "w".repeat(256));
    let long_bytes = format!("\"{}\"", "é".repeat(128));
    for value in ["5", "true", "[]", "{}", r#""""#, r#""\ud800""#, &long, &long_bytes] {
        bad(format!(r#"{{"queues":["default"],"worker_id":{value}}}"#), "worker_id");
    }
    for value in ["-1", "1", "999", "43200001", "1000.5", "1e999", r#""5000""#, "true", "[]", &huge] {
        bad(format!(r#"{{"queues":["default"],"visibility_timeout_ms":{value}}}"#), "visibility_timeout_ms");
    }
    all_refused(rows).await;
}

#[tokio::test]
async fn ack_and_nack_fields() {
    let mut rows = Vec::new();
    for path in [ACK, NACK] {
        let error = if path == NACK { r#","error":{"code":"x"}"# } else { "" };
        let mut bad = |body: String, field: &'static str| rows.push(Row::field(path, body, field));
        bad(format!(r#"{{"worker_id":"w"{error}}}"#), "job_id");
        for value in ["null", "5", "true", "[]", "{}", r#""\ud800""#] {
            bad(format!(r#"{{"job_id":{value}{error}}}"#), "job_id");
        }
        let long = format!("\"{}\"", "w".repeat(256));
        for value in ["5", "true", "[]", r#""""#, &long] {
            bad(format!(r#"{{"job_id":"{NOBODY}","worker_id":{value}{error}}}"#), "worker_id");
        }
        for value in ["5", "true", "[]", "{}", r#""\ud800""#] {
            bad(format!(r#"{{"job_id":"{NOBODY}","lease_token":{value}{error}}}"#), "lease_token");
        }
        let long = "x".repeat(100_000);
        for id in
            ["", "x", "550e8400-e29b-41d4-a716-446655440000", "019461A8-1A2B-7C3D-8E4F-5A6B7C8D9E0F", &long, NOBODY]
        {
            let body = format!(r#"{{"job_id":"{id}"{error}}}"#);
            rows.push(Row::new("POST", path, body, 404, "not_found").detail("resource_type", "job"));
        }
    }
    for result in ["1e999", r#"["\ud800"]"#] {
        rows.push(Row::field(ACK, format!(r#"{{"job_id":"{NOBODY}","result":{result}}}"#), "result"));
    }
    let mut bad = |member: &str, field: &'static str| {
        rows.push(Row::field(NACK, format!(r#"{{"job_id":"{NOBODY}"{member}}}"#), field));
    };
    bad("", "error");
    bad(r#","requeue":false"#, "error");
    for value in ["null", "5", "true", "[]", r#""boom""#, "{}", r#"{"retryable":true}"#, r#"{"code":null}"#] {
        bad(&format!(r#","error":{value}"#), "error");
    }
    for (error, field) in [
        (r#"{"code":5}"#, "error.code"),
        (r#"{"code":"x","type":[]}"#, "error.type"),
        (r#"{"code":"x","message":{}}"#, "error.message"),
        (r#"{"code":"x","message":"\ud800"}"#, "error.message"),
        (r#"{"code":"x","retryable":"no"}"#, "error.retryable"),
        (r#"{"code":"x","retryable":0}"#, "error.retryable"),
        (r#"{"code":"x","details":[]}"#, "error.details"),
        (r#"{"code":"x","details":{"a":1e999}}"#, "error.details"),
        (r#"{"code":"x","details":{"a":"\udfff"}}"#, "error.details"),
        (r#"{"code":"x","backtrace":["\ud800"]}"#, "error.backtrace"),
        (r#"{"code":"x","details":"d"}"#, "error.details"),
        (r#"{"code":"x","details":{"\ud800":1}}"#, "error.details"),
        (r#"{"code":"x","backtrace":5}"#, "error.backtrace"),
        (r#"{"code":"x","backtrace":{}}"#, "error.backtrace"),
        (r#"{"code":"x","stacktrace":true}"#, "error.backtrace"),
    ] {
        bad(&format!(r#","error":{error}"#), field);
        bad(&format!(r#","requeue":true,"error":{error}"#), field);
    }
    for value in ["5", r#""true""#, "[]", "{}"] {
        bad(&format!(r#","requeue":{value},"error":{{"code":"x"}}"#), "requeue");
    }
    all_refused(rows).await;
}

#[tokio::test]
async fn heartbeat_fields() {
    let mut rows = Vec::new();
    let mut bad = |body: String, field: &'static str| rows.push(Row::field(HEARTBEAT, body, field));
    bad("{}".into(), "worker_id");
    bad(format!(r#"{{"active_jobs":["{NOBODY}"]}}"#), "worker_id");
    let long = format!("\"{}\"", "w".repeat(256));
    for value in ["null", "5", "true", "[]", "{}", r#""""#, &long] {
        bad(format!(r#"{{"worker_id":{value}}}"#), "worker_id");
    }
    let many = json!(ids(257)).to_string();
    for value in [
        "5",
        "true",
        "{}",
        r#""x""#,
        "[1]",
        "[null]",
        r#"[["x"]]"#,
        r#"["x"]"#,
        r#"[""]"#,
        r#"["550e8400-e29b-41d4-a716-446655440000"]"#,
        &many,
    ] {
        bad(format!(r#"{{"worker_id":"w","active_jobs":{value}}}"#), "active_jobs");
    }
    for value in ["5", "true", "{}", r#""x""#, "[1]", &many] {
        bad(format!(r#"{{"worker_id":"w","active_job_ids":{value}}}"#), "active_job_ids");
        bad(format!(r#"{{"worker_id":"w","active_jobs":1,"active_job_ids":{value}}}"#), "active_job_ids");
    }
    bad(r#"{"worker_id":"w","active_jobs":"1","active_job_ids":[]}"#.into(), "active_jobs");
    for value in ["-1", "999", "43200001", "1e999", r#""5000""#, "[]"] {
        bad(format!(r#"{{"worker_id":"w","visibility_timeout_ms":{value}}}"#), "visibility_timeout_ms");
    }
    for value in ["5", "[]", r#""t""#, r#"{"a":5}"#, r#"{"a":null}"#] {
        bad(format!(r#"{{"worker_id":"w","lease_tokens":{value}}}"#), "lease_tokens");
    }
    // The field that the client sent is the one that is named.
    bad(r#"{"worker_id":"w","active_job_ids":["x"]}"#.into(), "active_job_ids");
    all_refused(rows).await;
}

#[tokio::test]
async fn dead_letter_retries() {
    let path = format!("{DEAD}/{NOBODY}/retry");
    let mut rows = Vec::new();
    let mut bad = |body: String, field: &'static str| rows.push(Row::field(&path, body, field));
    for value in ["5", "true", "[]", r#""q""#] {
        bad(format!(r#"{{"override":{value}}}"#), "override");
        bad(format!(r#"{{"override":{{"meta":{value}}}}}"#), "override.meta");
    }
    for value in ["5", "[]", r#""""#, r#""Default""#, r#""a b""#, r#""-a""#] {
        bad(format!(r#"{{"override":{{"queue":{value}}}}}"#), "override.queue");
    }
    let meta = format!(r#"{{"override":{{"meta":{{"a":"{}"}}}}}}"#, "x".repeat(64 * 1_024));
    rows.push(
        Row::new("POST", &path, meta, 413, "payload_too_large").detail("what", "meta").detail("limit_bytes", 65_536),
    );
    all_refused(rows).await;
}

/// What no id in a path may be, and what is one but names nothing.
fn no_ids() -> Vec<String> {
    let ids = [
        "x",
        "0",
        "null",
        "550e8400-e29b-41d4-a716-446655440000",
        "019461A8-1A2B-7C3D-8E4F-5A6B7C8D9E0F",
        "019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0",
        "019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f0",
        "019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f%20",
        "%00",
        "%C3%A9",
        "%2e%2e%2f",
        "..%2f..",
        "%ff",
        "%f0%9f",
        NOBODY,
    ];
    ids.map(str::to_owned).into_iter().chain([format!("{}x", "9".repeat(5_000))]).collect()
}

#[tokio::test]
async fn cron_jobs() {
    let mut rows = Vec::new();
    let with = |member: &str| format!(r#"{{"name":"a","cron":"@daily","type":"t",{member}}}"#);
    let long_name = format!("\"{}\"", "a".repeat(256));
    for name in [
        "null", "5", "[]", r#""""#, r#""A""#, r#""a b""#, r#""-a""#, r#"".a""#, r#""a/b""#, r#""ä""#, r#""a_b""#,
        &long_name,
    ] {
        rows.push(Row::field(CRON, format!(r#"{{"name":{name},"cron":"@daily","type":"t"}}"#), "name"));
    }
    rows.push(Row::field(CRON, r#"{"name":"a","type":"t"}"#, "expression"));
    let long = format!("\"{}1 * * * *\"", "1,".repeat(200));
    for expression in [
        "5",
        "[]",
        "{}",
        r#""""#,
        r#"" ""#,
        r#""not a valid cron""#,
        r#""0 0 0 0 0 0 0""#,
        r#""99 25 32 13 8""#,
        r#""* * * *""#,
        r#""*/0 * * * *""#,
        r#""60 * * * *""#,
        r#""* * * 13 *""#,
        r#""5-1 * * * *""#,
        r#""0 0 30 2 *""#,
        r#""@never""#,
        r#""@every""#,
        r#""@every 10ms""#,
        r#""@every -5m""#,
        r#""@every 1000000h""#,
        r#""JAN * * * *""#,
        r#""1,,2 * * * *""#,
        r#""* * * * * * *""#,
        r#""\u0000 * * * *""#,
        &long,
    ] {
        rows.push(Row::field(CRON, format!(r#"{{"name":"a","cron":{expression},"type":"t"}}"#), "cron"));
        rows.push(Row::field(CRON, format!(r#"{{"name":"a","expression":{expression},"type":"t"}}"#), "expression"));
    }
    for zone in [
        "5",
        "[]",
        r#""""#,
        r#""EST""#,
        r#""PST8PDT""#,
        r#""+05:00""#,
        r#""UTC+5""#,
        r#""Mars/Olympus""#,
        r#""local""#,
        r#""../../etc/passwd""#,
    ] {
        rows.push(Row::field(CRON, with(&format!(r#""timezone":{zone}"#)), "timezone"));
    }
    for policy in ["5", r#""""#, r#""SKIP""#, r#""replace""#, "[]"] {
        rows.push(Row::field(CRON, with(&format!(r#""overlap_policy":{policy}"#)), "overlap_policy"));
    }
    for enabled in ["0", "1", r#""true""#, "[]"] {
        rows.push(Row::field(CRON, with(&format!(r#""enabled":{enabled}"#)), "enabled"));
    }
    rows.push(Row::field(CRON, with(r#""description":5"#), "description"));
    rows.push(Row::field(CRON, with(&format!(r#""description":"{}""#, "x".repeat(1_025))), "description"));
    // The template is checked as an enqueue is, and named as it stands in the request.
    rows.push(Row::field(CRON, r#"{"name":"a","cron":"@daily"}"#, "type"));
    for (template, field) in [
        (r#""x""#, "job_template"),
        ("[]", "job_template"),
        ("{}", "job_template.type"),
        (r#"{"type":"T"}"#, "job_template.type"),
        (r#"{"type":"t","args":{}}"#, "job_template.args"),
        (r#"{"type":"t","options":{"pending":true}}"#, "job_template.options.pending"),
        (r#"{"type":"t","options":{"scheduled_at":"2099-01-01T00:00:00Z"}}"#, "job_template.options.scheduled_at"),
        (r#"{"type":"t","options":{"delay_until":"2099-01-01T00:00:00Z"}}"#, "job_template.options.scheduled_at"),
        (r#"{"type":"t","options":{"expires_at":"2020-01-01T00:00:00Z"}}"#, "job_template.options.expires_at"),
        (r#"{"type":"t","args":[1e999]}"#, "job_template.args"),
        (r#"{"type":"t","meta":[]}"#, "job_template.meta"),
        (r#"{"type":"t","id":"019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f"}"#, "job_template.id"),
        (r#"{"type":"t","options":{"queue":"Not A Queue"}}"#, "job_template.options.queue"),
        (r#"{"type":"t","options":{"priority":101}}"#, "job_template.options.priority"),
        (r#"{"type":"t","options":{"expires_at":"soon"}}"#, "job_template.options.expires_at"),
    ] {
        rows.push(Row::field(CRON, format!(r#"{{"name":"a","cron":"@daily","job_template":{template}}}"#), field));
    }
    rows.push(
        Row::new("POST", CRON, with(r#""options":{"unique":{}}"#), 422, "unsupported")
            .detail("field", "options.unique"),
    );
    rows.push(
        Row::new("POST", CRON, with(r#""options":{"retry":{"max_attempts":-1}}"#), 422, "validation_error")
            .naming("max_attempts"),
    );
    let large = with(&format!(r#""args":["{}"]"#, "x".repeat(301 * 1_024)));
    rows.push(Row::new("POST", CRON, large, 413, "payload_too_large"));
    let meta = with(&format!(r#""meta":{{"k":"{}"}}"#, "x".repeat(64 * 1_024 - 20)));
    rows.push(Row::new("POST", CRON, meta, 413, "payload_too_large"));
    let path = format!("{CRON}/a");
    for (body, field) in [
        ("{}", "enabled"),
        (r#"{"enabled":null}"#, "enabled"),
        (r#"{"enabled":1}"#, "enabled"),
        (r#"{"enabled":true,"cron":"@daily"}"#, "cron"),
    ] {
        rows.push(Row::new("PATCH", &path, body, 400, "invalid_request").detail("field", field));
    }
    for name in no_ids() {
        if name == NOBODY {
            continue;
        }
        for (method, body) in [("GET", ""), ("DELETE", ""), ("PATCH", r#"{"enabled":true}"#)] {
            rows.push(
                Row::new(method, format!("{CRON}/{name}"), body, 404, "not_found").detail("resource_type", "cron"),
            );
        }
    }
    all_refused(rows).await;
}

#[tokio::test]
async fn ids_in_paths() {
    let mut rows = Vec::new();
    for id in no_ids() {
        for (method, path, kind) in [
            ("GET", format!("{JOBS}/{id}"), "job"),
            ("DELETE", format!("{JOBS}/{id}"), "job"),
            ("POST", format!("{JOBS}/{id}/activate"), "job"),
            ("POST", format!("{DEAD}/{id}/retry"), "dead letter"),
            ("DELETE", format!("{DEAD}/{id}"), "dead letter"),
        ] {
            rows.push(Row::new(method, path, "", 404, "not_found").detail("resource_type", kind));
        }
    }
    all_refused(rows).await;
}

#[tokio::test]
async fn query_parameters() {
    let cursor = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let mut rows = Vec::new();
    let limits = ["0", "-1", "1.5", "x", "201", "99999999999999999999999", "1e2", "%20", "0x10", "NaN", "%ff", "null"];
    for path in [QUEUES, DEAD, CRON] {
        for limit in limits {
            rows.push(Row::parameter(format!("{path}?limit={limit}"), "limit"));
        }
        rows.push(Row::parameter(format!("{path}?limit=5&limit=0"), "limit"));
        let long = "A".repeat(4_000);
        let cursors = [
            "x",
            "!!!!",
            "%00",
            "null",
            &long,
            &cursor("null"),
            &cursor("[]"),
            &cursor("{}"),
            &cursor("\"queues\""),
            &cursor(r#"["other",["a"],0]"#),
            &cursor(r#"["queues",5,0]"#),
            &cursor(r#"["queues","a"]"#),
            &cursor(r#"["queues","a",-1]"#),
            &cursor(r#"["cron","a","x"]"#),
            &cursor(r#"["dead-letter","a",0]"#),
            &cursor(r#"["dead-letter",[1],0]"#),
            &cursor(r#"["dead-letter",[1,"x"],0]"#),
            &cursor(&format!(r#"["dead-letter",[1.5,"{NOBODY}"],0]"#)),
            &cursor(&"[".repeat(2_000)),
            // Each list has cursors of its own.
            &if path == DEAD {
                cursor(r#"["queues","a",0]"#)
            } else {
                cursor(&format!(r#"["dead-letter",[1,"{NOBODY}"],0]"#))
            },
            // What looks like a place, but none that this list can have answered.
            &cursor(r#"["queues","",0]"#),
            &cursor(&format!(r#"["queues","{}",0]"#, "a".repeat(2_000))),
            &cursor(r#"["queues","Not A Queue",0]"#),
            &cursor(r#"["cron","",0]"#),
            &cursor(&format!(r#"["cron","{}",0]"#, "a".repeat(2_000))),
            &cursor(r#"["cron","Not A Name",0]"#),
        ];
        for text in cursors {
            rows.push(Row::parameter(format!("{path}?cursor={text}"), "cursor"));
        }
    }
    for enabled in ["yes", "TRUE", "1", "0", "null", "%ff"] {
        rows.push(Row::parameter(format!("{CRON}?enabled={enabled}"), "enabled"));
    }
    for offset in ["-1", "x", "1.5", "1001", "99999999999999999999999"] {
        rows.push(Row::parameter(format!("{CRON}?offset={offset}"), "offset"));
        rows.push(Row::parameter(format!("{DEAD}?offset={offset}"), "offset"));
    }
    let long = "q".repeat(129);
    for queue in ["Default", "my_queue", "-a", "a%20b", "%C3%A9", "%ff", &long] {
        rows.push(Row::parameter(format!("{DEAD}?queue={queue}"), "queue"));
        rows.push(Row::parameter(format!("{EVENTS}?queues={queue}"), "queues"));
        rows.push(Row::parameter(format!("{EVENTS}?queues=default,{queue}"), "queues"));
    }
    for queue in ["Default", "my_queue", "-a", "a%20b", "%C3%A9", "%ff", &long] {
        for verb in ["pause", "resume"] {
            rows.push(Row::field(&format!("{QUEUES}/{queue}/{verb}"), "{}", "queue"));
        }
    }
    for limit in ["0", "-1", "1001", "x", "1.5", "99999999999999999999999"] {
        rows.push(Row::parameter(format!("{EVENTS}?limit={limit}"), "limit"));
    }
    for types in ["job", "job.unknown", "job.completed,job.unknown", "JOB.COMPLETED", "queue.created", "%ff"] {
        rows.push(Row::parameter(format!("{EVENTS}?types={types}"), "types"));
    }
    for after in ["x", NOBODY, "evt_x", "evt_", "EVT_019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f", "%00"] {
        rows.push(Row::parameter(format!("{EVENTS}?after={after}"), "after"));
    }
    let queues: Vec<String> = (0..21).map(|i| format!("q{i}")).collect();
    rows.push(Row::parameter(format!("{EVENTS}?queues={}", queues.join(",")), "queues").detail("max", 20));
    all_refused(rows).await;
}

#[tokio::test]
async fn routes_and_methods() {
    let mut rows = Vec::new();
    for path in [
        "/",
        "/ojs",
        "/ojs/v1",
        "/ojs/v1/",
        "/ojs/v2/jobs",
        "/ojs/v1/job",
        "/OJS/v1/jobs",
        "/health",
        "/ojs/v1/manifest",
        "/ojs/health",
        "/ojs/v1//jobs",
        "/ojs/v1/workers",
        "/ojs/v1/jobs/a/b",
        "/ojs/v1/jobs/a/b/c",
        "/ojs/v1/dead-letter/x/y",
        "/ojs/v1/cron/a/b",
        "/ojs/v1/crons",
        "/%ff",
        "/ojs/v1/jobs/../queues/x",
    ] {
        for method in ["GET", "POST", "DELETE", "PUT", "PATCH", "ASSERT"] {
            rows.push(Row::new(method, path, "{}", 404, "not_found").detail("resource_type", "route"));
        }
    }
    let job = job_path(NOBODY);
    let (activate, dead, retry) =
        (format!("{job}/activate"), format!("{DEAD}/{NOBODY}"), format!("{DEAD}/{NOBODY}/retry"));
    let routes: [(&str, &[&str]); 18] = [
        ("/ojs/manifest", &["GET", "HEAD"]),
        ("/ojs/v1/health", &["GET", "HEAD"]),
        (JOBS, &["POST"]),
        (&job, &["GET", "HEAD", "DELETE"]),
        (&activate, &["POST"]),
        (FETCH, &["POST"]),
        (ACK, &["POST"]),
        (NACK, &["POST"]),
        (HEARTBEAT, &["POST"]),
        (DEAD, &["GET", "HEAD"]),
        (&dead, &["DELETE"]),
        (&retry, &["POST"]),
        (QUEUES, &["GET", "HEAD"]),
        ("/ojs/v1/queues/a/pause", &["POST"]),
        ("/ojs/v1/queues/a/resume", &["POST"]),
        (EVENTS, &["GET", "HEAD"]),
        (CRON, &["GET", "HEAD", "POST"]),
        ("/ojs/v1/cron/a", &["GET", "HEAD", "DELETE", "PATCH"]),
    ];
    let watched = Watched::start().await;
    for (path, allowed) in routes {
        for method in ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "ASSERT"] {
            if allowed.contains(&method) {
                continue;
            }
            let what = format!("{method} {path}");
            let answer = Row::new(method, path, "{}", 405, "method_not_allowed").send(&watched.http).await;
            assert_refused(&what, &answer, 405, "method_not_allowed");
            let allow = answer.headers["allow"].to_str().unwrap();
            let mut methods: Vec<_> = allow.split(',').map(str::trim).collect();
            methods.sort_unstable();
            let mut wanted = allowed.to_vec();
            wanted.sort_unstable();
            assert_eq!(methods, wanted, "{what}");
            watched.nothing_happened(&what, 405);
        }
    }
    watched.stack.stop().await;
    all_refused(rows).await;
}

#[tokio::test]
async fn headers() {
    let job = r#"{"type":"a.b","args":[]}"#;
    let mut rows = Vec::new();
    for kind in [
        "text/plain",
        "text/json",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "json",
        "application/jsonx",
        "application/json+x",
        "application/openjobspec",
        "application/*",
        "*/*",
        "",
        ";charset=utf-8",
        "application/openjobspec+json2",
    ] {
        let row = Row::new("POST", JOBS, job, 400, "invalid_request");
        rows.push(row.headers(&[("content-type", kind)]).detail("field", "Content-Type"));
        let row = Row::new("DELETE", job_path(NOBODY), "{}", 400, "invalid_request");
        rows.push(row.headers(&[("content-type", kind)]).detail("field", "Content-Type"));
        // Without a body its type does not matter: some clients name one all the same.
        rows.push(Row::new("DELETE", job_path(NOBODY), "", 404, "not_found").headers(&[("content-type", kind)]));
        rows.push(Row::new("POST", JOBS, "", 400, "invalid_payload").headers(&[("content-type", kind)]));
    }
    for version in ["2.0", "2", "1.", "1.1", "0.9", "", "1.0x", "v1.0", "1.0,2.0", "10.0"] {
        for (method, path) in
            [("POST", JOBS), ("GET", QUEUES), ("GET", "/ojs/v1/health"), ("GET", "/ojs/manifest"), ("GET", "/nowhere")]
        {
            let row = Row::new(method, path, job, 422, "unsupported").detail("supported", "1.0");
            rows.push(row.headers(&[("ojs-version", version), ("content-type", "application/json")]));
        }
    }
    all_refused(rows).await;
}

#[tokio::test]
async fn bodies_are_not_compressed() {
    let mut rows = Vec::new();
    for encoding in ["gzip", "GZIP", "deflate", "br", "zstd", "x-mine", "identity, gzip"] {
        for path in [JOBS, FETCH, ACK, CRON] {
            let row = Row::new("POST", path, b"\x1f\x8b\x08\x00".to_vec(), 415, "unsupported_media_type");
            let row = row.headers(&[("content-encoding", encoding), ("content-type", "application/json")]);
            rows.push(
                row.detail("field", "Content-Encoding").detail("supported", "identity").naming("Content-Encoding"),
            );
        }
        // Without a body there is nothing to be read.
        rows.push(
            Row::new("DELETE", job_path(NOBODY), "", 404, "not_found").headers(&[("content-encoding", encoding)]),
        );
    }
    rows.push(
        Row::new("POST", JOBS, "{}", 415, "unsupported_media_type")
            .headers(&[("content-encoding", "gzip")])
            .naming("gzip"),
    );
    all_refused(rows).await;
}

#[tokio::test]
async fn good_headers_are_accepted() {
    let app = App::start().await;
    let http = app.stack.http();
    for kind in [
        "application/json",
        "application/openjobspec+json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/openjobspec+json;charset=\"utf-8\"; version=1",
        " application/json ",
        "application/json;",
    ] {
        for version in ["1", "1.0", "1.0.0", "1.0.0-rc.1", "1.0.17"] {
            let row = Row::new("POST", JOBS, r#"{"type":"a.b","args":[]}"#, 201, "");
            let headers = [("content-type", kind), ("ojs-version", version)];
            let answer = row.headers(&headers).send(&http).await;
            assert_eq!(answer.status, 201, "{kind} {version}: {}", answer.body);
        }
    }
    let answer = Row::new("POST", JOBS, r#"{"type":"a.b","args":[]}"#, 201, "").headers(&[]).send(&http).await;
    assert_eq!(answer.status, 201, "without a Content-Type: {}", answer.body);
    for encoding in ["identity", "Identity", ""] {
        let row = Row::new("POST", JOBS, r#"{"type":"a.b","args":[]}"#, 201, "");
        let answer = row.headers(&[("content-encoding", encoding)]).send(&http).await;
        assert_eq!(answer.status, 201, "{encoding}: {}", answer.body);
    }
    // What a GET says of a body it does not have does not matter.
    let answer = Row::new("GET", QUEUES, "", 200, "").headers(&[("content-type", "text/plain")]).send(&http).await;
    assert_eq!(answer.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn sizes() {
    let large = |n: usize| "x".repeat(n);
    let mut rows = Vec::new();
    let mut bad = |body: String, what: &'static str, limit: usize| {
        let row = Row::new("POST", JOBS, body, 413, "payload_too_large");
        rows.push(row.detail("what", what).detail("limit_bytes", limit));
    };
    const ENVELOPE: usize = 300 * 1_024;
    const META: usize = 64 * 1_024;
    bad(format!(r#"{{"type":"a.b","args":["{}"]}}"#, large(ENVELOPE)), "envelope", ENVELOPE);
    // One byte too many: 3 of the type, 7 of the queue's name, 4 around the text.
    bad(format!(r#"{{"type":"a.b","args":["{}"]}}"#, large(ENVELOPE - 13)), "envelope", ENVELOPE);
    bad(format!(r#"{{"type":"a.b","args":["{}"]}}"#, large(4_000_000)), "envelope", ENVELOPE);
    bad(with(&format!(r#""x_extra":"{}""#, large(ENVELOPE))), "envelope", ENVELOPE);
    bad(with(&format!(r#""schema":"{}""#, large(ENVELOPE))), "envelope", ENVELOPE);
    bad(options(&format!(r#""tags":["{}"]"#, large(ENVELOPE))), "envelope", ENVELOPE);
    bad(options(&format!(r#""retry":{{"k":"{}"}}"#, large(ENVELOPE))), "envelope", ENVELOPE);
    bad(with(&format!(r#""meta":{{"a":"{}"}}"#, large(META))), "meta", META);
    bad(with(&format!(r#""meta":{{"a":"{}"}}"#, large(META - 7))), "meta", META);
    bad(options(&format!(r#""metadata":{{"a":"{}"}}"#, large(META))), "meta", META);
    let halves = large(META / 2);
    bad(with(&format!(r#""meta":{{"a":"{halves}"}},"options":{{"metadata":{{"b":"{halves}"}}}}"#)), "meta", META);
    all_refused(rows).await;
}

#[tokio::test]
async fn bodies_over_the_limit() {
    let watched = Watched::start().await;
    for path in posts() {
        // Announced: refused for the header alone.
        let announced = Request::post(&path).header("content-length", MAX_BODY_BYTES + 1).body(Body::empty()).unwrap();
        // Not announced: read until the limit.
        let chunks =
            (0..MAX_BODY_BYTES / 65_536 + 1).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 65_536])));
        let chunked = Request::post(&path).body(Body::from_stream(futures::stream::iter(chunks))).unwrap();
        // Announced as less than it is.
        let lying = Request::post(&path)
            .header("content-length", "2")
            .body(Body::from(vec![b' '; MAX_BODY_BYTES + 1]))
            .unwrap();
        for (what, request) in [("announced", announced), ("chunked", chunked), ("lying", lying)] {
            let what = format!("{what} {path}");
            let answer = watched.http.send(request).await;
            assert_refused(&what, &answer, 413, "payload_too_large");
            let details = &answer.body["error"]["details"];
            assert_eq!((&details["limit_bytes"], &details["what"]), (&json!(MAX_BODY_BYTES), &json!("request body")));
            watched.nothing_happened(&what, 413);
        }
        // Exactly the limit is read.
        let full =
            Request::post(&path).body(Body::from([vec![b' '; MAX_BODY_BYTES - 1], b"[".to_vec()].concat())).unwrap();
        assert_refused(&path, &watched.http.send(full).await, 400, "invalid_payload");
    }
    // A body that breaks off.
    let broken = futures::stream::iter([Ok(Bytes::from_static(b"{\"type\"")), Err(std::io::Error::other("gone"))]);
    let answer = watched.http.send(Request::post(JOBS).body(Body::from_stream(broken)).unwrap()).await;
    assert_refused("broken", &answer, 400, "invalid_payload");
    watched.nothing_happened("broken", 400);
    watched.is_empty().await;
    watched.stack.stop().await;
}
