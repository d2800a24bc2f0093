//! The program against a server of this process.

// A test may unwrap: a panic is how it fails.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ResetStatus, Server, bad, case, good, run, suites, write};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn pass_and_fail() {
    let server = Server::start().await;
    let folder = suites(&[case("B", bad()), case("A", good())]);
    let run = run(folder.path(), &["--url", &server.url]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.ids(), ["A", "B"]);
    assert_eq!(run.last_line(), "1 passed, 1 failed");
    assert!(run.out.contains(r#"b  $.method: expected "PUT", got "GET" [HTTP 200]"#), "{}", run.out);
    assert!(run.out.contains("file: level-0/0.json"), "{}", run.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_passed_is_exit_code_zero() {
    let server = Server::start().await;
    let folder = suites(&[case("A", good())]);
    let run = run(folder.path(), &["--url", &server.url]).await;
    assert_eq!((run.code, run.last_line()), (Some(0), "1 passed, 0 failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent() {
    let server = Server::start().await;
    let steps = json!([
        {"id": "one", "action": "POST", "path": "/first", "body": {"z": 1.50, "a": [null]}, "assertions": {
            "headers": {"X-Echo": "yes"},
            "body": {
                "$.content_type": "application/openjobspec+json",
                "$.authorization": "Bearer x",
                "$.body.a": [null],
                "$.items[?(@.id=='b')].n": 2,
                "$.path": "{{steps.one.response.body.path}}",
            }}},
        {"id": "two", "action": "PUT", "path": "/jobs/{{steps.one.response.body.items[1].id}}",
            "headers": {"content-type": "text/plain", "Authorization": "own"},
            "body": {"from": "{{steps.one.response.body.path}}", "kept": "{{steps.nine.response.body.x}}"},
            "assertions": {"body": {
                "$.path": "/jobs/b",
                "$.body.from": "{{steps.one.response.body.path}}",
                "$.body.kept": "string:contains:steps.nine",
                "$.content_type": "text/plain",
                "$.authorization": "own",
            }}},
        {"id": "three", "action": "ASSERT", "assertions": {"body": {"$.method": "ASSERT", "$.content_type": "absent"}}},
        {"id": "four", "action": "wait", "delay_ms": 1, "assertions": {"status": 999}},
        {"id": "five", "action": "GET", "path": "/moved", "assertions": {"status": 200, "body": {"$.path": "/echo"}}},
        {"id": "six", "action": "POST", "path": "/empty",
            "assertions": {"body": {"$.content_length": "0", "$.text": "", "$.content_type": "absent"}}},
        {"id": "seven", "action": "GET", "path": "/empty", "assertions": {"body": {"$.content_length": "absent"}}},
    ]);
    let folder = suites(&[case("A", steps)]);
    let run = run(folder.path(), &["--url", &format!("{}/", server.url), "--header", "Authorization: Bearer x"]).await;
    assert_eq!(run.last_line(), "1 passed, 0 failed", "{}", run.out);
    assert_eq!(server.log(), ["POST /first", "PUT /jobs/b", "ASSERT /", "GET /echo", "POST /empty", "GET /empty"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_step_does_not_stop_the_case_but_a_failing_setup_does() {
    let server = Server::start().await;
    let steps = json!([bad()[0], good()[0]]);
    let mut with_setup = case("B", good());
    with_setup["setup"] = json!({"steps": bad()});
    let mut with_teardown = case("C", good());
    with_teardown["teardown"] = json!({"steps": bad()});
    let folder = suites(&[case("A", steps), with_setup, with_teardown]);
    let run = run(folder.path(), &["--url", &server.url]).await;
    assert_eq!(server.log().len(), 2 + 1 + 2);
    assert_eq!((run.code, run.last_line()), (Some(1), "1 passed, 2 failed"));
    assert!(run.out.contains("ERROR") && run.out.contains("setup step b failed"), "{}", run.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_cases_do_not_fail_the_run() {
    let server = Server::start().await;
    let folder = suites(&[case("A", good()), case("K1", bad()), case("K2", good()), case("L1-RTR-014", bad())]);
    let run = run(folder.path(), &["--url", &server.url, "--known", "K1", "--known", "K2"]).await;
    assert_eq!((run.code, run.last_line()), (Some(0), "2 passed, 0 failed, 2 skipped"));
    assert!(run.out.contains("KNOWN (now passes)"), "{}", run.out);
    assert!(run.out.contains("warning: K2 is on the known list but passes now"), "{}", run.out);
    assert!(run.out.contains("which its own NACK steps never send"), "{}", run.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_steps_are_under_way_at_the_same_time() {
    let server = Server::start().await;
    let meet = |id: &str, with: Value| json!({"id": id, "action": "GET", "path": "/meet", "parallel_with": with, "assertions": {"status": 200}});
    let together = case("A", json!([good()[0], meet("x", json!(null)), meet("y", json!("x")), good()[0]]));
    let folder = suites(&[together]);
    let run = run(folder.path(), &["--url", &server.url]).await;
    assert_eq!(run.last_line(), "1 passed, 0 failed", "{}", run.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parallel_step_does_not_see_its_companion() {
    let server = Server::start().await;
    let steps = json!([
        {"id": "x", "action": "GET", "path": "/x"},
        // The delay lets the answer of x arrive before this step is put together.
        {"id": "y", "action": "POST", "path": "/y", "parallel_with": "x", "delay_ms": 200,
            "body": "{{steps.x.response.body.path}}",
            "assertions": {"body": {"$.body": {"$match": "^..steps.x.response"}}}},
        {"id": "z", "action": "POST", "path": "/z", "body": "{{steps.x.response.body.path}}",
            "assertions": {"body": {"$.body": "/x"}}},
    ]);
    let folder = suites(&[case("A", steps)]);
    let run = run(folder.path(), &["--url", &server.url]).await;
    assert_eq!(run.last_line(), "1 passed, 0 failed", "{}", run.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reset_comes_before_each_case() {
    let server = Server::start().await;
    let reset = format!("{}/reset", server.url);
    let two = json!([good()[0], good()[0]]);
    let folder = suites(&[case("A", two), case("B", good())]);
    run(folder.path(), &["--url", &server.url, "--reset-url", &reset]).await;
    assert_eq!(server.log(), ["RESET 0 bytes", "GET /echo", "GET /echo", "RESET 0 bytes", "GET /echo"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_reset_is_an_error_even_of_a_known_case() {
    let server = Server::start_with(ResetStatus(500)).await;
    let reset = format!("{}/reset", server.url);
    let folder = suites(&[case("A", good())]);
    let run = run(folder.path(), &["--url", &server.url, "--reset-url", &reset, "--known", "A"]).await;
    assert_eq!((run.code, run.last_line()), (Some(1), "0 passed, 1 failed"));
    assert!(run.out.contains("error: reset: the reset answered 500"), "{}", run.out);
    assert_eq!(server.log(), ["RESET 0 bytes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_order_can_be_repeated() {
    let server = Server::start().await;
    let cases: Vec<Value> = (10..30).map(|i| case(&format!("T{i}"), good())).collect();
    let folder = suites(&cases);
    let random = ["--url", server.url.as_str(), "--order", "random", "--repeat", "2"];
    let first = run(folder.path(), &random).await;
    let seed = first.out.lines().find_map(|line| line.split("--seed ").nth(1)).unwrap();
    let again = run(folder.path(), &[&random[..], &["--seed", seed]].concat()).await;
    assert_eq!(first.ids().len(), 40);
    assert_eq!(first.ids(), again.ids());
    // Each round is a permutation of its own.
    let ids = first.ids();
    let (one, two) = ids.split_at(20);
    let mut sorted = one.to_vec();
    sorted.sort_unstable();
    assert_eq!(sorted, cases.iter().map(|c| c["test_id"].as_str().unwrap()).collect::<Vec<_>>());
    assert_ne!(one, sorted);
    assert_ne!(one, two);
    assert_eq!(first.last_line(), "40 passed, 0 failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_are_selected_by_level_and_text() {
    let server = Server::start().await;
    let mut extra = case("X-1", good());
    extra["level"] = json!("ext");
    let mut second = case("L2-1", good());
    second["level"] = json!("2");
    let folder = suites(&[case("L0-1", good()), case("L0-1", good()), case("L0-2", good()), second, extra]);
    let ids = async |more: &[&str]| {
        let run = run(folder.path(), &[&["--url", server.url.as_str()], more].concat()).await;
        run.ids().join(" ")
    };
    assert_eq!(ids(&[]).await, "L0-1 L0-1 L0-2 L2-1 X-1");
    assert_eq!(ids(&["--level", "0"]).await, "L0-1 L0-1 L0-2");
    assert_eq!(ids(&["--level", "2,ext"]).await, "L2-1 X-1");
    assert_eq!(ids(&["--level", "2", "--level", "0", "--filter", "-2"]).await, "L0-2");
    assert_eq!(ids(&["--filter", "name-of-X"]).await, "X-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_report() {
    let server = Server::start().await;
    let folder = suites(&[case("A", good()), case("B", bad()), case("L1-RTR-014", bad())]);
    let file = folder.path().join("report.out");
    run(folder.path(), &["--url", &server.url, "--json", file.to_str().unwrap()]).await;
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(report["totals"], json!({"total": 3, "passed": 1, "failed": 1, "skipped": 1}));
    assert_eq!(report["levels"]["0"], report["totals"]);
    let statuses: Vec<_> = report["cases"].as_array().unwrap().iter().map(|c| &c["status"]).collect();
    assert_eq!(statuses, ["passed", "failed", "known"]);
    let second = &report["cases"][1];
    assert_eq!(
        (&second["id"], &second["file"], &second["level"]),
        (&json!("B"), &json!("level-0/1.json"), &json!("0"))
    );
    assert!(second["duration_ms"].is_u64());
    assert_eq!(
        second["failures"],
        json!([{"step": "b", "path": "$.method", "expected": "\"PUT\"", "got": "\"GET\"", "http_status": 200}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn verbose_shows_the_exchanges() {
    let server = Server::start().await;
    let folder = suites(&[case("A", good())]);
    let run = run(folder.path(), &["--url", &server.url, "--verbose"]).await;
    assert!(run.out.contains(". g GET /echo -> 200"), "{}", run.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_exit_code_two() {
    let server = Server::start().await;
    let folder = suites(&[case("A", good())]);

    let missing = run(&folder.path().join("nowhere"), &["--url", &server.url]).await;
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("nowhere"), "{}", missing.err);

    let nothing = run(folder.path(), &["--url", &server.url, "--filter", "zzz"]).await;
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.err.contains("no case selected"), "{}", nothing.err);

    // Bound and dropped, so that nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = run(folder.path(), &["--url", &format!("http://{free}")]).await;
    assert_eq!(unreachable.code, Some(2));
    assert!(unreachable.err.contains("not reachable"), "{}", unreachable.err);
    assert!(unreachable.out.is_empty(), "{}", unreachable.out);

    write(folder.path(), "level-0/broken.json", r#"{"test_id": "Z", "level": 0}"#);
    let broken = run(folder.path(), &["--url", &server.url]).await;
    assert_eq!(broken.code, Some(2));
    assert!(broken.err.contains("broken.json") && broken.err.contains("steps"), "{}", broken.err);
    assert!(server.log().is_empty(), "{:?}", server.log());
}
