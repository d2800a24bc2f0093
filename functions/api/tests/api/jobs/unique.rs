//! Unique jobs over HTTP.
#![allow(clippy::unwrap_used)]

use crate::support;

use serde_json::{Value, json};
use support::*;

fn request(args: Value, unique: Value) -> Value {
    json!({"type": "a.b", "args": args, "options": {"unique": unique}})
}

#[tokio::test]
async fn a_duplicate_is_answered_as_its_strategy_says() {
    let app = App::start().await;
    let by_args = json!({"keys": ["args"], "args_keys": ["user"]});
    let first = app.create(request(json!([{"user": 1, "x": 1}]), by_args.clone())).await;
    let again = request(json!([{"user": 1, "x": 2}]), by_args.clone());
    let refused = app.refused(JOBS, again.clone(), 409, "duplicate").await;
    assert_eq!(refused["existing_job_id"], first["id"]);
    assert_eq!(refused["existing_job_state"], "available");
    assert!(refused["uniqueness_key"].as_str().unwrap().len() == 64);
    // Another value, type or set of keys is another job.
    app.create(request(json!([{"user": 2}]), by_args.clone())).await;
    app.create(json!({"type": "a.c", "args": [{"user": 1}], "options": {"unique": by_args}})).await;
    app.create(request(json!([{"user": 1}]), json!({"keys": ["queue"]}))).await;

    let ignore = json!({"keys": ["args"], "args_keys": ["user"], "on_conflict": "ignore"});
    let ignored = app.post(JOBS, request(json!([{"user": 1}]), ignore)).await;
    assert_eq!((ignored.status.as_u16(), &ignored.body["deduplicated"]), (200, &json!(true)), "{}", ignored.body);
    assert_eq!(ignored.body["job"]["id"], first["id"]);

    let replace = json!({"keys": ["args"], "args_keys": ["user"], "on_conflict": "replace"});
    let new = app.create(request(json!([{"user": 1}]), replace)).await;
    assert_eq!(app.state(first["id"].as_str().unwrap()).await, "cancelled");
    assert_eq!(app.state(new["id"].as_str().unwrap()).await, "available");
    app.stop().await;
}

#[tokio::test]
async fn what_a_policy_names_must_be_there() {
    let app = App::start().await;
    for (unique, field) in [
        (json!({"keys": ["args"], "args_keys": ["user"]}), "options.unique.args_keys"),
        (json!({"keys": ["meta"], "meta_keys": ["tenant"]}), "options.unique.meta_keys"),
    ] {
        let refused = app.refused(JOBS, request(json!([1]), unique), 400, "invalid_request").await;
        assert_eq!(refused["field"], field);
    }
    app.stop().await;
}
