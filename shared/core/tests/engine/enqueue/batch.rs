//! Batch enqueue on the embedded stack (JSON format section 10).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use ojs_core::engine::{Enqueued, Fetch, TickBudget};
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::batch::{ABORTED_MS, OPEN_MS};
use ojs_model::job::{Job, State};
use ojs_model::{ErrorCode, JobId, Result};
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};

fn job(options: Value) -> Value {
    json!({"type": "test", "args": [1], "options": options})
}

async fn batch(stack: &TestStack, jobs: Vec<Value>) -> Result<Vec<Enqueued>> {
    stack.engine.enqueue_batch(fields(&json!({"jobs": jobs}))).await
}

async fn ids(stack: &TestStack) -> BTreeSet<JobId> {
    stack.engine.store().newest_jobs("default", 2_000).await.unwrap().into_iter().collect()
}

async fn nothing_is_left(stack: &TestStack, before: &BTreeSet<JobId>) {
    assert_eq!(ids(stack).await, *before);
    assert_eq!(stack.fetch("w", 10).await.len(), 0);
    for shard in 0..stack.engine.store().due_shards() {
        let page = stack.engine.store().due_before(shard, i64::MAX / 2, None, 10).await.unwrap();
        assert!(page.jobs.is_empty(), "{page:?}");
    }
}

#[tokio::test]
async fn a_thousand_jobs_are_there_at_once_in_their_order() {
    let stack = TestStack::start().await;
    let made =
        batch(&stack, (0..1_000).map(|i| json!({"type": format!("t{i}"), "args": [i]})).collect()).await.unwrap();
    assert_eq!(made.len(), 1_000);
    for (i, made) in made.iter().enumerate() {
        assert_eq!((made.job.job_type.as_str(), made.job.state), (format!("t{i}").as_str(), State::Available));
    }
    assert!(made.windows(2).all(|two| two[0].job.id < two[1].job.id));
    assert_eq!(stack.get(&made[999].job.id).await.state, State::Available);
    let mut fetched = BTreeSet::new();
    while fetched.len() < 1_000 {
        let request = Fetch { visibility_ms: Some(600_000), ..stack.fetch_request("w", 100) };
        let jobs = stack.engine.fetch(request).await.unwrap();
        assert!(!jobs.is_empty(), "{} fetched", fetched.len());
        fetched.extend(jobs.into_iter().map(|job| job.id));
    }
    assert_eq!(fetched, made.into_iter().map(|made| made.job.id).collect());
    stack.stop().await;
}

#[tokio::test]
async fn options_hold_inside_a_batch() {
    let stack = TestStack::start().await;
    let jobs = vec![
        job(json!({"priority": -5})),
        job(json!({"priority": 50})),
        job(json!({"scheduled_at": "+PT5S"})),
        job(json!({"scheduled_at": "+P3D"})),
        job(json!({"pending": true})),
        job(json!({"expires_at": "2020-01-01T00:00:00Z"})),
        job(json!({"queue": "other"})),
    ];
    let made: Vec<Job> = batch(&stack, jobs).await.unwrap().into_iter().map(|made| made.job).collect();
    let states: Vec<_> = made.iter().map(|job| job.state.as_str()).collect();
    assert_eq!(states, ["available", "available", "scheduled", "scheduled", "pending", "discarded", "available"]);
    for job in &made {
        assert_eq!(stack.get(&job.id).await.state, job.state);
    }
    let fetched = async |count| stack.fetch("w", count).await.into_iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(fetched(10).await, [made[1].id.clone(), made[0].id.clone()]);
    stack.clock.advance_ms(5_000);
    assert_eq!(fetched(10).await, [made[2].id.clone()]);
    stack.engine.activate(&made[4].id).await.unwrap();
    assert_eq!(fetched(10).await, [made[4].id.clone()]);
    stack.go_to(made[3].due_at.unwrap() - 60_000);
    stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    stack.go_to(made[3].due_at.unwrap());
    assert!(fetched(10).await.contains(&made[3].id));
    stack.stop().await;
}

#[tokio::test]
async fn one_job_that_cannot_be_keeps_all_out() {
    let stack = TestStack::start().await;
    let there = stack.enqueue(json!({"queue": "other", "unique": {"keys": ["type", "args"]}})).await;
    let client = stack.engine.ids().job_id(stack.engine.now_ms());
    let by_client = json!({"id": client.as_str(), "type": "other", "args": [], "options": {"queue": "other"}});
    stack.engine.enqueue(fields(&by_client)).await.unwrap();
    let before = ids(&stack).await;
    let plain = || (0..30).map(|_| job(json!({}))).collect::<Vec<_>>();
    for (bad, code, field) in [
        (json!({"args": []}), ErrorCode::InvalidRequest, Some("jobs[30].type")),
        (job(json!({"retry": {"max_attempts": -1}})), ErrorCode::ValidationError, None),
        (job(json!({"unique": {"keys": ["type", "args"]}})), ErrorCode::Duplicate, None),
        (by_client.clone(), ErrorCode::Duplicate, None),
    ] {
        let mut jobs = plain();
        let id = stack.engine.ids().job_id(stack.engine.now_ms());
        jobs.push(bad.clone());
        // What was written beside it must go as well: a client's id, a lock.
        jobs.push(json!({"id": id.as_str(), "type": "mine", "args": []}));
        jobs.push(json!({"type": "locked", "args": [], "options": {"unique": {}}}));
        let error = batch(&stack, jobs).await.unwrap_err();
        assert_eq!((error.code, &error.details["index"]), (code, &json!(30)), "{bad}: {error}");
        assert!(field.is_none_or(|field| error.details["field"] == field), "{error}");
        nothing_is_left(&stack, &before).await;
        assert_eq!(stack.engine.get(&id).await.unwrap_err().code, ErrorCode::NotFound);
        let free = json!({"type": "locked", "args": [], "options": {"unique": {}}});
        let made = stack.engine.enqueue(fields(&free)).await.unwrap().job;
        stack.engine.cancel(&made.id).await.unwrap();
        stack.clock.advance_ms(61_000);
        assert_eq!(stack.fetch("w", 10).await.len(), 0);
        stack.engine.store().undo_put(&stack.get(&made.id).await).await.unwrap();
    }
    assert_eq!(stack.get(&there.id).await.state, State::Available);
    stack.stop().await;
}

#[tokio::test]
async fn unique_jobs_of_a_batch_find_what_is_there() {
    let stack = TestStack::start().await;
    let unique = |kind: &str, strategy: &str| json!({"type": kind, "args": [], "options": {"unique": {"on_conflict": strategy}}});
    let mut there = Vec::new();
    for kind in ["a", "b", "c"] {
        there.push(stack.engine.enqueue(fields(&unique(kind, "reject"))).await.unwrap().job);
    }
    let jobs = vec![unique("a", "ignore"), unique("b", "replace"), unique("c", "replace"), unique("d", "replace")];
    let made = batch(&stack, jobs.clone()).await.unwrap();
    assert_eq!((made[0].deduplicated, &made[0].job.id), (true, &there[0].id));
    assert!(made[1..].iter().all(|made| !made.deduplicated));
    for (job, state) in there.iter().zip([State::Available, State::Cancelled, State::Cancelled]) {
        assert_eq!(stack.get(&job.id).await.state, state);
    }
    // The locks are the new ones'.
    let again = batch(&stack, ["b", "c", "d"].map(|kind| unique(kind, "ignore")).to_vec()).await.unwrap();
    assert!(again.iter().zip(&made[1..]).all(|(again, made)| again.job.id == made.job.id && again.deduplicated));
    // One that cannot be keeps the replacements from happening.
    let jobs = vec![unique("b", "replace"), unique("a", "reject")];
    assert_eq!(batch(&stack, jobs).await.unwrap_err().code, ErrorCode::Duplicate);
    assert_eq!(stack.get(&made[1].job.id).await.state, State::Available);
    stack.clock.advance_ms(70_000);
    let fetched: BTreeSet<_> = stack.fetch("w", 10).await.into_iter().map(|job| job.id).collect();
    let wanted: BTreeSet<_> = made.into_iter().map(|made| made.job.id).collect();
    assert_eq!(fetched, wanted);
    for id in fetched {
        stack.ack(&id).await.unwrap();
    }
    // More replacements than a transaction holds are refused, and none happens.
    let many = |strategy| (0..50).map(|i| unique(&format!("m{i}"), strategy)).collect::<Vec<_>>();
    let first = batch(&stack, many("reject")).await.unwrap();
    let error = batch(&stack, many("replace")).await.unwrap_err();
    assert_eq!((error.code, &error.details["max"]), (ErrorCode::InvalidRequest, &json!(49)));
    for made in &first {
        assert_eq!(stack.get(&made.job.id).await.state, State::Available);
    }
    let fewer = batch(&stack, many("replace")[..49].to_vec()).await.unwrap();
    assert_eq!(stack.get(&fewer[48].job.id).await.state, State::Available);
    assert_eq!(stack.get(&first[48].job.id).await.state, State::Cancelled);
    assert_eq!(stack.get(&first[49].job.id).await.state, State::Available);
    stack.stop().await;
}

/// The process of a batch dies at every call it makes; a minute later a tick has decided, one way or the other.
#[tokio::test]
async fn a_batch_whose_process_dies_is_there_as_a_whole_or_not_at_all() {
    // With the last call done, and not.
    for fault in [Fault::LostAnswer, Fault::NotSent] {
        dies(fault).await;
    }
}

async fn dies(fault: Fault) {
    let stack = TestStack::start().await;
    let held =
        stack.engine.enqueue(fields(&json!({"type": "r", "args": [], "options": {"unique": {}}}))).await.unwrap();
    stack.ack(&stack.fetch("w", 1).await[0].id).await.unwrap();
    drop(held);
    for at in 0.. {
        let old = json!({"type": "r", "args": [], "options": {"unique": {"on_conflict": "replace"}}});
        let old = stack.engine.enqueue(fields(&old)).await.unwrap().job;
        let (engine, wire) = stack.instance(1).await;
        wire.disturb(Plan { at, fault, then: Then::Dead });
        let mut jobs: Vec<_> = (0..30).map(|i| job(json!({"priority": i % 2}))).collect();
        jobs.push(json!({"type": "u", "args": [], "options": {"unique": {}}}));
        jobs.push(json!({"type": "r", "args": [], "options": {"unique": {"on_conflict": "replace"}}}));
        let before = ids(&stack).await;
        let answer = engine.enqueue_batch(fields(&json!({"jobs": jobs}))).await;
        let died = wire.disturbed_calls() > at;
        // Whatever is stored, all of it or nothing can be seen.
        let mut seen = Vec::new();
        for id in ids(&stack).await.difference(&before) {
            seen.extend(stack.engine.get(id).await.ok().filter(|job| !job.state.is_terminal()));
        }
        assert!(seen.len() == 32 || seen.is_empty(), "{fault:?} at call {at}: {} are seen", seen.len());
        assert!(answer.is_err() || seen.len() == 32, "{fault:?} at call {at}");
        let replaced = stack.get(&old.id).await.state == State::Cancelled;
        assert_eq!(replaced, seen.len() == 32, "{fault:?} at call {at}");
        let fetched = stack.fetch("early", 100).await;
        assert!(fetched.len() <= seen.len() + 1, "{fault:?} at call {at}: {} fetched", fetched.len());
        stack.clock.advance_ms(u64::try_from(OPEN_MS).unwrap());
        stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        let mut done = BTreeSet::new();
        for _ in 0..8 {
            for job in stack.fetch("late", 100).await {
                stack.ack_with_token(&job).await.unwrap();
                done.insert(job.id);
            }
            stack.clock.advance_ms(2_000);
        }
        let new: BTreeSet<_> = ids(&stack).await.difference(&before).cloned().collect();
        let wanted = if replaced { new.clone() } else { BTreeSet::from([old.id.clone()]) };
        assert_eq!(done, wanted, "{fault:?} at call {at}");
        assert_eq!(new.len(), if replaced { 32 } else { 0 }, "{fault:?} at call {at}");
        // The request may only have hung: what it writes late is dropped with the mark.
        stack.clock.advance_ms(u64::try_from(ABORTED_MS).unwrap());
        stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        for shard in 0..stack.engine.store().due_shards() {
            let page = stack.engine.store().due_before(shard, i64::MAX / 2, None, 10).await.unwrap();
            assert!(page.jobs.is_empty(), "{fault:?} at call {at}: {page:?}");
            let page = stack.engine.store().unfinished_before(shard, i64::MAX / 2, None, 10).await.unwrap();
            assert!(page.batches.is_empty(), "{fault:?} at call {at}: {page:?}");
        }
        if !died {
            assert!(answer.is_ok());
            break;
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_unique_job_of_a_batch_under_way_makes_others_wait() {
    let stack = TestStack::start().await;
    let unique = json!({"type": "u", "args": [], "options": {"unique": {"on_conflict": "ignore"}}});
    let client = stack.engine.ids().job_id(stack.engine.now_ms());
    let by_client = json!({"id": client.as_str(), "type": "c", "args": []});
    let (engine, wire) = stack.instance(1).await;
    // After the locks, before the commit.
    let mut at = 0;
    loop {
        wire.disturb(Plan { at, fault: Fault::NotSent, then: Then::Dead });
        let answer = engine.enqueue_batch(fields(&json!({"jobs": [unique, by_client, job(json!({}))]}))).await;
        assert!(answer.is_err());
        let key =
            ojs_model::job::parse_enqueue(fields(&unique), 0, stack.engine.ids()).unwrap().job.unique_key.unwrap();
        if stack.engine.store().get_lock(&key).await.unwrap().is_some() {
            break;
        }
        stack.clock.advance_ms(u64::try_from(OPEN_MS).unwrap());
        stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        at += 1;
    }
    for request in [&unique, &by_client] {
        let error = stack.engine.enqueue(fields(request)).await;
        if let Err(error) = error {
            assert_eq!(error.code, ErrorCode::BackendUnavailable, "{error}");
        } else {
            assert_eq!(request, &by_client, "its put had not happened");
        }
    }
    stack.clock.advance_ms(u64::try_from(OPEN_MS).unwrap());
    stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    assert!(!stack.engine.enqueue(fields(&unique)).await.unwrap().deduplicated);
    stack.stop().await;
}

/// A try of a write that arrives long after another one has succeeded.
#[tokio::test]
async fn a_write_of_a_batch_that_arrives_late_resets_no_job() {
    for attempts in [1, 3] {
        let stack = TestStack::start().await;
        for at in 0.. {
            let before = ids(&stack).await;
            let (engine, wire) = stack.instance(attempts).await;
            wire.disturb(Plan { at, fault: Fault::Late, then: Then::Continue });
            let jobs: Vec<_> = (0..30).map(|_| job(json!({}))).collect();
            let made = engine.enqueue_batch(fields(&json!({"jobs": jobs}))).await;
            wire.calm();
            let hit = wire.disturbed_calls() > at;
            let mut made: BTreeSet<JobId> = match made {
                Ok(made) => made.into_iter().map(|made| made.job.id).collect(),
                Err(error) => {
                    crate::crashes::harness::failed_well(&error);
                    BTreeSet::new()
                }
            };
            // Half of the jobs are done, and the others run, when it arrives.
            stack.clock.advance_ms(u64::try_from(OPEN_MS).unwrap());
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            let mut states = Vec::new();
            while let jobs = stack.fetch("w", 100).await
                && !jobs.is_empty()
            {
                for (i, job) in jobs.iter().enumerate() {
                    if i % 2 == 0 {
                        stack.ack(&job.id).await.unwrap();
                    }
                    states.push((job.id.clone(), stack.get(&job.id).await.state));
                }
            }
            assert_eq!(wire.deliver().await, usize::from(hit), "call {at}");
            // One whose commit was not answered may be there nevertheless.
            let found: BTreeSet<_> = states.iter().map(|(id, _)| id.clone()).collect();
            if made.is_empty() {
                made.clone_from(&found);
            }
            assert!(made == found && (found.len() == 30 || found.is_empty()), "call {at}: {} found", found.len());
            let check = async |when: &str| {
                for (id, state) in &states {
                    let job = stack.get(id).await;
                    assert_eq!((job.state, job.attempt), (*state, 1), "call {at}, {when}");
                }
            };
            check("when it arrives").await;
            stack.clock.advance_ms(20_000);
            assert_eq!(stack.fetch("again", 100).await.len(), 0, "call {at}");
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            check("after a tick").await;
            for (id, state) in &states {
                if *state == State::Active {
                    stack.ack(id).await.unwrap();
                }
            }
            stack.clock.advance_ms(u64::try_from(OPEN_MS).unwrap());
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            stack.clock.advance_ms(u64::try_from(ABORTED_MS).unwrap());
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            assert_eq!(stack.fetch("late", 100).await.len(), 0, "call {at}");
            let left: BTreeSet<_> = ids(&stack).await.difference(&before).cloned().collect();
            assert_eq!(left, found, "call {at}: what was written late is dropped");
            if !hit {
                break;
            }
        }
        stack.stop().await;
    }
}
