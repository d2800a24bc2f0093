//! The assertions of a step against its answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::http::Answer;
use crate::matcher::{self, Mismatch};
use crate::path::{self, PathError};
use crate::suite::{Assertions, Timing};
use crate::template::Answers;
use crate::value::{excerpt, shorten};

/// Share of `approximate` that a duration may be off, and the least it may be.
const TIMING_SHARE: f64 = 0.5;
const TIMING_LEAST_MS: f64 = 100.0;

/// One assertion that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// `status`, a body path, a header name, ...
    pub path: String,
    /// What was wanted.
    pub expected: String,
    /// What was there.
    pub got: String,
}

impl Complaint {
    fn new(path: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { path: path.into(), expected: expected.into(), got: got.into() }
    }

    fn at(path: &str, mismatch: Mismatch) -> Self {
        Self::new(format!("{path}{}", mismatch.at), mismatch.expected, mismatch.got)
    }
}

/// Everything about `answer` that does not hold; `answers` are the bodies that templates may name.
#[must_use]
pub fn check(assertions: &Assertions, answer: &Answer, answers: &Answers) -> Vec<Complaint> {
    let mut out = Vec::new();
    if let Some(want) = &assertions.status {
        let checked = check_status(want, answer.status);
        out.extend(checked.err().map(|m| Complaint::at("status", m)));
    }
    if let Some(list) = &assertions.status_in {
        let met = list.iter().any(|one| one.as_f64() == Some(f64::from(answer.status)));
        // An empty list asks for nothing.
        if !met && !list.is_empty() {
            let expected = format!("one of {}", Value::from(list.clone()));
            out.push(Complaint::new("status_in", expected, answer.status.to_string()));
        }
    }
    if let Some(wants) = &assertions.body {
        check_body(wants, answer, answers, &mut out);
    }
    for path in assertions.body_absent.iter().flatten() {
        // A path that leads nowhere is as absent as a missing key.
        let got = answer.parsed.as_deref().map(|body| path::resolve(&answers.fill(path), body));
        if let Some(Ok(got)) = got.filter(|got| got.as_ref().is_ok_and(|value| !value.is_null())) {
            out.push(Complaint::new(path, "absent", excerpt(&got)));
        }
    }
    if let Some(wants) = &assertions.headers {
        out.extend(wants.iter().filter_map(|(name, want)| check_header(name, want, answer)));
    }
    if let Some(limits) = &assertions.timing_ms {
        check_timing(limits, answer.took, &mut out);
    }
    let text = String::from_utf8_lossy(&answer.raw);
    for part in assertions.body_contains.iter().flatten() {
        if !text.contains(part.as_str()) {
            out.push(Complaint::new("body_contains", format!("{part:?}"), shorten(&text)));
        }
    }
    out
}

fn check_status(want: &Value, status: u16) -> Result<(), Mismatch> {
    let refuse = |expected: &str| Err(Mismatch::new(expected, status.to_string()));
    match want.as_str() {
        Some(text) if is_class(text) => {
            if text.starts_with(&(status / 100).to_string()) {
                Ok(())
            } else {
                refuse(text)
            }
        }
        Some(text) if text.starts_with("one_of:") => {
            let mut listed = text.trim_start_matches("one_of:").split(',');
            if listed.any(|item| item.trim() == status.to_string()) { Ok(()) } else { refuse(text) }
        }
        _ => matcher::check(want, &Value::from(status)),
    }
}

/// `4xx` and the like.
fn is_class(text: &str) -> bool {
    text.strip_suffix("xx").is_some_and(|class| class.len() == 1 && class.as_bytes()[0].is_ascii_digit())
}

fn check_body(wants: &BTreeMap<String, Value>, answer: &Answer, answers: &Answers, out: &mut Vec<Complaint>) {
    // The alternatives are looked at even without a body, which then counts as an empty object.
    let empty = Value::Object(serde_json::Map::new());
    let body = answer.parsed.as_deref();
    if let Some(choices) = wants.get("$or") {
        let mut choices_of = choices.as_array().into_iter().flatten();
        if !choices_of.any(|choice| alternative_holds(choice, body.unwrap_or(&empty), answers)) {
            let got = body.map_or_else(|| "no JSON object".to_owned(), excerpt);
            out.push(Complaint::new("$or", format!("one of {}", excerpt(choices)), got));
        }
    }
    let Some(body) = body else { return };
    // `$` alone and other words with a dollar are not paths.
    for (path, want) in wants.iter().filter(|(path, _)| !path.starts_with('$') || path.starts_with("$.")) {
        let path = answers.fill(path);
        let want = answers.fill_value(want);
        match path::resolve(&path, body) {
            Ok(got) => out.extend(matcher::check(&want, &got).err().map(|m| Complaint::at(&path, m))),
            // What cannot be reached is absent; a path that cannot be read is a mistake of the case.
            Err(error) if want == "absent" && !matches!(error, PathError::Syntax(_)) => {}
            Err(error) => out.push(Complaint::new(path, excerpt(&want), error.to_string())),
        }
    }
}

fn alternative_holds(choice: &Value, body: &Value, answers: &Answers) -> bool {
    choice.as_object().is_some_and(|wants| {
        wants.iter().all(|(path, want)| {
            let got = path::resolve(&answers.fill(path), body);
            got.is_ok_and(|got| matcher::check(&answers.fill_value(want), &got).is_ok())
        })
    })
}

fn check_header(name: &str, want: &Value, answer: &Answer) -> Option<Complaint> {
    // Several headers of one name mean the same as one with a list; a missing one is empty.
    let lines = answer.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let got = Value::from(lines.collect::<Vec<_>>().join(", "));
    let checked = match (want.get("$match").and_then(Value::as_str), want.get("$eq")) {
        (Some(regex), _) => matcher::check_regex(regex, &got),
        (None, eq) => {
            let want = eq.unwrap_or(want);
            if *want == got { Ok(()) } else { Err(Mismatch::new(excerpt(want), excerpt(&got))) }
        }
    };
    checked.err().map(|m| Complaint::at(&format!("header {name}"), m))
}

fn check_timing(limits: &Timing, took: Duration, out: &mut Vec<Complaint>) {
    let ms = took.as_secs_f64() * 1000.0;
    let mut need = |holds: bool, expected: String| {
        if !holds {
            out.push(Complaint::new("timing_ms", expected, format!("{ms:.0}")));
        }
    };
    if let Some(limit) = limits.less_than {
        need(ms < limit, format!("< {limit}"));
    }
    if let Some(limit) = limits.greater_than {
        need(ms > limit, format!("> {limit}"));
    }
    if let Some(near) = limits.approximate {
        need((ms - near).abs() <= (near * TIMING_SHARE).max(TIMING_LEAST_MS), format!("~{near}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::json;
    use std::sync::Arc;

    fn answer(status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("ojs-version", HeaderValue::from_static("1.0"));
        headers.append(HeaderName::from_static("x-many"), HeaderValue::from_static("a"));
        headers.append(HeaderName::from_static("x-many"), HeaderValue::from_static("b"));
        let parsed = serde_json::from_str::<Value>(body).ok().filter(Value::is_object).map(Arc::new);
        Answer { status, headers, raw: body.as_bytes().to_vec(), parsed, took: Duration::from_millis(300) }
    }

    /// The paths that the assertions complain about.
    fn complaints(assertions: Value, answer: &Answer) -> Vec<String> {
        let assertions: Assertions = serde_json::from_value(assertions).unwrap();
        let mut answers = Answers::default();
        answers.insert("s", Some(Arc::new(json!({"id": "7", "key": "a"}))));
        check(&assertions, answer, &answers).into_iter().map(|c| c.path).collect()
    }

    #[test]
    fn status_forms() {
        for (want, yes, no) in [
            (json!(201), 201, 200),
            (json!("2xx"), 299, 300),
            (json!("one_of:400,422"), 422, 404),
            (json!("one_of:400, 422"), 422, 404),
            (json!("number:range(400,422)"), 410, 423),
            (json!({"$in": [200, 204]}), 204, 201),
            (json!({"$or": [404, "number:range(500,599)"]}), 503, 400),
            (json!({"range": {"min": 200, "max": 201}}), 201, 202),
            (json!("~200"), 300, 301),
        ] {
            let assertions = json!({"status": want});
            assert_eq!(complaints(assertions.clone(), &answer(yes, "")), Vec::<String>::new(), "{want} {yes}");
            assert_eq!(complaints(assertions, &answer(no, "")), ["status"], "{want} {no}");
        }
        for never in [json!("201"), json!("20x"), json!(null), json!(true)] {
            assert_eq!(complaints(json!({"status": never}), &answer(201, "")), ["status"]);
        }
        assert!(complaints(json!({"status_in": [200, 201]}), &answer(201, "")).is_empty());
        assert!(complaints(json!({"status_in": []}), &answer(201, "")).is_empty());
        assert_eq!(complaints(json!({"status_in": [200]}), &answer(201, "")), ["status_in"]);
    }

    #[test]
    fn body_paths() {
        let body = r#"{"a": {"id": "7"}, "list": [1]}"#;
        let wants = json!({"body": {
            "$.a.id": "{{steps.s.response.body.id}}",
            "$.{{steps.s.response.body.key}}.id": "7",
            "$.a": {"id": "{{steps.s.response.body.id}}"},
            "$.list[3].x": "absent",
            "$.missing": "any",
            "$": {"$empty": true},
            "$[0]": "never looked at",
        }});
        assert!(complaints(wants, &answer(200, body)).is_empty());
        let wants = json!({"body": {
            "$.a.id": "{{steps.other.response.body.id}}",
            "$.list[3]": "any",
            "$.list[x]": "absent",
            "$.a": {"id": 8},
        }});
        assert_eq!(complaints(wants, &answer(200, body)), ["$.a.id", "$.a.id", "$.list[3]", "$.list[x]"]);
    }

    #[test]
    fn a_body_that_is_no_object_is_not_looked_into() {
        for body in ["", "text", "[1]", "null", "7"] {
            assert!(complaints(json!({"body": {"$.a": 1}, "body_absent": ["$.a"]}), &answer(200, body)).is_empty());
            assert_eq!(complaints(json!({"body": {"$or": [{"$.a": 1}]}}), &answer(200, body)), ["$or"]);
            assert!(complaints(json!({"body": {"$or": [{"$.a": "absent"}]}}), &answer(200, body)).is_empty());
        }
    }

    #[test]
    fn alternatives() {
        let or =
            |choices: Value, body: &str| complaints(json!({"body": {"$or": choices}}), &answer(200, body)).is_empty();
        let choices = json!([{"$.a": 1, "$.b": 2}, {"$.a": "{{steps.s.response.body.id}}"}]);
        assert!(or(choices.clone(), r#"{"a": 1, "b": 2}"#));
        assert!(or(choices.clone(), r#"{"a": "7"}"#));
        assert!(!or(choices, r#"{"a": 1}"#));
        // A path error fails the alternative, even for "absent"; `$empty` is a field like any other here.
        assert!(!or(json!([{"$.a[0]": "absent"}]), r#"{"a": 1}"#));
        assert!(!or(json!([{"$empty": true}]), "{}"));
        assert!(!or(json!([]), "{}"));
    }

    #[test]
    fn absent_and_contained() {
        let body = r#"{"a": 1, "b": null, "c": []}"#;
        assert!(complaints(json!({"body_absent": ["$.b", "$.x", "$.c[0]", "$.a.x"]}), &answer(200, body)).is_empty());
        assert_eq!(complaints(json!({"body_absent": ["$.a", "$.c"]}), &answer(200, body)), ["$.a", "$.c"]);
        assert!(complaints(json!({"body_contains": ["\"a\": 1", "null"]}), &answer(200, body)).is_empty());
        assert_eq!(complaints(json!({"body_contains": ["zzz"]}), &answer(200, "text")), ["body_contains"]);
    }

    #[test]
    fn header_forms() {
        for (name, want, holds) in [
            ("OJS-Version", json!("1.0"), true),
            ("ojs-version", json!("1"), false),
            ("ojs-version", json!({"$match": "^1\\."}), true),
            ("ojs-version", json!({"$match": "^2"}), false),
            ("ojs-version", json!({"$match": "("}), false),
            ("ojs-version", json!({"$eq": "1.0"}), true),
            ("ojs-version", json!({"$eq": "2.0"}), false),
            ("ojs-version", json!({}), false),
            ("ojs-version", json!(1.0), false),
            ("x-missing", json!(""), true),
            ("x-missing", json!({"$match": "^$"}), true),
            ("x-missing", json!("x"), false),
            ("x-many", json!("a, b"), true),
        ] {
            let out = complaints(json!({"headers": {name: want}}), &answer(200, ""));
            assert_eq!(out.is_empty(), holds, "{name} {want} {out:?}");
        }
    }

    #[test]
    fn timing_forms() {
        // The answers of these tests took 300 ms.
        for (limits, holds) in [
            (json!({"less_than": 301}), true),
            (json!({"less_than": 300}), false),
            (json!({"greater_than": 299}), true),
            (json!({"greater_than": 300}), false),
            (json!({"approximate": 200}), true),
            (json!({"approximate": 199}), false),
            (json!({"approximate": 600}), true),
            (json!({"approximate": 601}), false),
            (json!({}), true),
        ] {
            let out = complaints(json!({"timing_ms": limits}), &answer(200, ""));
            assert_eq!(out.is_empty(), holds, "{limits}");
        }
    }
}
