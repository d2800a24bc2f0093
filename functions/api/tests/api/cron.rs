//! Cron jobs over HTTP: registered, listed, read, toggled, deleted, in the specification's names and the suites'.
#![allow(clippy::unwrap_used)]

use crate::support;

use ojs_model::JobId;
use serde_json::{Value, json};
use support::*;

fn daily() -> Value {
    json!({"name": "daily-report", "cron": "0 9 * * *", "timezone": "America/New_York", "type": "report.generate",
           "args": [{"report": "daily"}, 1], "options": {"queue": "reports", "timeout": 300}, "description": "d"})
}

#[tokio::test]
async fn a_registration_is_answered_whole() {
    let app = App::start().await;
    let answer = app.post(CRON, daily()).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.headers["location"], "/ojs/v1/cron/daily-report");
    let template = json!({"args": [{"report": "daily"}, 1], "options": {"queue": "reports", "timeout": 300}, "type": "report.generate"});
    let cron = json!({
        "name": "daily-report", "cron": "0 9 * * *", "expression": "0 9 * * *", "timezone": "America/New_York",
        "overlap_policy": "skip", "enabled": true, "status": "active", "description": "d",
        "job_template": template, "type": "report.generate", "args": template["args"], "options": template["options"],
        "created_at": app.time(0), "updated_at": app.time(0), "next_run_at": "2026-11-24T14:00:00.000Z",
        "last_run_at": null, "last_job_id": null, "run_count": 0, "skip_count": 0,
    });
    assert_eq!(answer.body, json!({"cron": cron, "cron_job": cron}));
    assert_eq!(app.get(&format!("{CRON}/daily-report")).await.body, answer.body);
    let list = json!({"crons": [cron], "cron_jobs": [cron], "count": 1, "pagination": {"limit": 50, "has_more": false, "total": 1, "total_is_exact": true}});
    assert_eq!(app.get(CRON).await.body, list);
    // The same again is no change.
    let again = app.post(CRON, daily()).await;
    assert_eq!((again.status.as_u16(), again.headers.get("location")), (200, None));
    assert_eq!(again.body, answer.body);
    app.stop().await;
}

#[tokio::test]
async fn the_suites_names_and_shorthands_are_taken() {
    let app = App::start().await;
    for (name, expression, zone, next) in [
        ("tokyo", "0 9 * * *", "Asia/Tokyo", "2026-11-25T00:00:00.000Z"),
        ("daily", "@daily", "UTC", "2026-11-25T00:00:00.000Z"),
        ("hourly", "@hourly", "UTC", "2026-11-24T10:00:00.000Z"),
        ("weekly", "@weekly", "UTC", "2026-11-29T00:00:00.000Z"),
        ("seconds", "*/30 * * * * *", "UTC", "2026-11-24T09:00:30.000Z"),
        ("every", "@every 1h30m", "UTC", "2026-11-24T10:30:00.000Z"),
        ("last-friday", "0 17 * * FRIL", "Europe/Berlin", "2026-11-27T16:00:00.000Z"),
    ] {
        let body = json!({"name": name, "expression": expression, "timezone": zone,
                          "job_template": {"type": "a", "args": []}});
        let answer = app.post(CRON, body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let cron = &answer.body["cron"];
        assert_eq!(
            (&cron["expression"], &cron["timezone"], &cron["next_run_at"]),
            (&json!(expression), &json!(zone), &json!(next))
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn what_was_read_can_be_changed_and_sent_back_by_either_name() {
    let app = App::start().await;
    app.done(CRON, daily()).await;
    let read = async || app.get(&format!("{CRON}/daily-report")).await.body["cron"].clone();
    let shown = read().await;
    assert_eq!(app.post(CRON, shown.clone()).await.status, 200);
    assert_eq!(read().await, shown);
    for (name, value) in
        [("cron", json!("@hourly")), ("args", json!([2])), ("type", json!("other")), ("options", json!({"queue": "q"}))]
    {
        let mut changed = shown.clone();
        changed[name] = value;
        let details = app.refused(CRON, changed.clone(), 400, "invalid_request").await;
        assert_eq!(details["field"], name);
        // With the other name gone, it is clear what is meant.
        let other = if name == "cron" { "expression" } else { "job_template" };
        changed.as_object_mut().unwrap().remove(other);
        assert_eq!(app.done(CRON, changed).await["cron"][name], read().await[name]);
        app.done(CRON, daily()).await;
    }
    // A deployment does not enable what an operator has disabled.
    app.call("PATCH", &format!("{CRON}/daily-report"), Some(json!({"enabled": false}))).await;
    assert_eq!(app.done(CRON, daily()).await["cron"]["enabled"], false);
    app.stop().await;
}

#[tokio::test]
async fn an_update_answers_200_and_changes_what_it_says() {
    let app = App::start().await;
    app.done(CRON, daily()).await;
    app.advance(1_000);
    let mut changed = daily();
    changed["cron"] = json!("30 9 * * *");
    changed["overlap_policy"] = json!("cancel");
    changed["enabled"] = json!(false);
    changed.as_object_mut().unwrap().remove("description");
    // What the server manages is ignored.
    changed["run_count"] = json!(77);
    changed["next_run_at"] = json!("2030-01-01T00:00:00Z");
    let answer = app.post(CRON, changed.clone()).await;
    assert_eq!(answer.status, 200);
    let cron = &answer.body["cron"];
    assert_eq!(
        (&cron["status"], &cron["next_run_at"], &cron["description"]),
        (&json!("disabled"), &Value::Null, &Value::Null)
    );
    assert_eq!((&cron["overlap_policy"], &cron["run_count"]), (&json!("cancel_previous"), &json!(0)));
    assert_eq!((&cron["created_at"], &cron["updated_at"]), (&app.time(-1_000), &app.time(0)));
    app.stop().await;
}

#[tokio::test]
async fn a_toggle_and_a_deletion() {
    let app = App::start().await;
    app.done(CRON, daily()).await;
    let path = format!("{CRON}/daily-report");
    let off = app.call("PATCH", &path, Some(json!({"enabled": false}))).await;
    assert_eq!(off.status, 200);
    assert_eq!((&off.body["cron"]["enabled"], &off.body["cron_job"]["next_run_at"]), (&json!(false), &Value::Null));
    let listed = async |query: &str| app.get(&format!("{CRON}?{query}")).await.body["count"].clone();
    assert_eq!(
        [listed("enabled=true").await, listed("enabled=false").await, listed("").await],
        [0, 1, 1].map(|n| json!(n))
    );
    let on = app.call("PATCH", &path, Some(json!({"enabled": true}))).await;
    assert_eq!(on.body["cron"]["next_run_at"], "2026-11-24T14:00:00.000Z");
    let deleted = app.delete(&path).await;
    assert_eq!(deleted.status, 200);
    let body = &deleted.body;
    assert_eq!(
        (&body["deleted"], &body["name"], &body["cron"]["name"]),
        (&json!(true), &json!("daily-report"), &json!("daily-report"))
    );
    assert_eq!(app.delete(&path).await.status, 404);
    assert_eq!(app.get(&path).await.status, 404);
    assert_eq!(app.call("PATCH", &path, Some(json!({"enabled": true}))).await.status, 404);
    assert_eq!(app.get(CRON).await.body["crons"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn lists_go_by_name_in_pages() {
    let app = App::start().await;
    let mut names: Vec<String> = (0..7).map(|i| format!("cron-{}", (i * 5) % 7)).collect();
    for name in &names {
        app.done(CRON, json!({"name": name, "cron": "@daily", "type": "a"})).await;
    }
    names.sort_unstable();
    let page = app.get(&format!("{CRON}?limit=2&offset=3")).await.body;
    assert_eq!((&page["crons"][0]["name"], &page["count"]), (&json!(names[3]), &json!(2)));
    for limit in [1, 3, 7, 200] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = app.get(&format!("{CRON}?limit={limit}&cursor={cursor}")).await.body;
            let crons = page["crons"].as_array().unwrap();
            assert!(crons.len() <= limit && page["count"] == crons.len());
            found.extend(crons.iter().map(|cron| text(&cron["name"])));
            match &page["pagination"]["next_cursor"] {
                Value::String(next) => cursor.clone_from(next),
                _ => break,
            }
        }
        assert_eq!(found, names, "{limit}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_fired_job_is_a_job_like_any_other_and_its_events_are_told() {
    let app = App::start().await;
    app.done(CRON, json!({"name": "minutely", "cron": "* * * * *", "type": "tick", "args": [1.10], "meta": {"k": 1}}))
        .await;
    app.advance(60_000);
    let job = app.fetched(json!({"queues": ["default"]})).await.remove(0);
    assert_eq!((&job["type"], &job["args"], &job["state"]), (&json!("tick"), &json!([1.1]), &json!("active")));
    assert_eq!(job["meta"], json!({"k": 1, "cron_name": "minutely", "cron_triggered_at": "2026-11-24T09:01:00.000Z"}));
    let id = text(&job["id"]);
    assert!(JobId::parse(&id).is_some());
    let cron = app.get(&format!("{CRON}/minutely")).await.body["cron"].clone();
    assert_eq!((&cron["last_job_id"], &cron["last_run_at"], &cron["run_count"]), (&json!(id), &app.time(0), &json!(1)));
    // The next occurrence finds the job running.
    app.advance(61_000);
    assert!(app.fetched(json!({"queues": ["default"]})).await.is_empty());
    app.done(ACK, json!({"job_id": id})).await;
    let told = app.get(&format!("{EVENTS}?types=cron.triggered,cron.skipped")).await.body["events"].clone();
    let told = told.as_array().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    for event in told {
        assert_eq!((&event["subject"], &event["source"]), (&json!("minutely"), &json!("ojs://ojs-serverless/cron")));
        assert!(text(&event["id"]).strip_prefix("evt_").and_then(JobId::parse).is_some());
    }
    let data = json!({
        "job_id": id, "job_type": "tick", "queue": "default", "cron_name": "minutely", "cron_expr": "* * * * *",
        "cron_expression": "* * * * *", "timezone": "UTC", "run_count": 1, "scheduled_at": "2026-11-24T09:01:00.000Z", "scheduled_time": "2026-11-24T09:01:00.000Z",
        "actual_time": "2026-11-24T09:01:00.000Z",
    });
    assert_eq!((&told[0]["type"], &told[0]["data"]), (&json!("cron.triggered"), &data));
    let data = json!({
        "job_type": "tick", "queue": "default", "cron_name": "minutely", "cron_expr": "* * * * *", "timezone": "UTC",
        "cron_expression": "* * * * *", "reason": "overlap_skip", "existing_job_id": id, "active_job_id": id,
        "scheduled_at": "2026-11-24T09:02:00.000Z", "scheduled_time": "2026-11-24T09:02:00.000Z",
    });
    assert_eq!((&told[1]["type"], &told[1]["data"]), (&json!("cron.skipped"), &data));
    let count = async |query: &str| {
        app.get(&format!("{EVENTS}?types=cron.skipped&{query}")).await.body["events"].as_array().unwrap().len()
    };
    assert_eq!([count("queues=other").await, count("job_types=tick").await, count("job_types=x").await], [0, 1, 0]);
    app.stop().await;
}
