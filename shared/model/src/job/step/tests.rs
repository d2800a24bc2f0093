#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::ids::Ids;
use crate::job::parse_enqueue;
use crate::json::{Fields, raw};

pub(crate) const NOW: i64 = 1_700_000_000_000;

/// A new job with these options.
pub(crate) fn job(options: &str) -> Job {
    let body = format!(r#"{{"type":"a","args":[],"options":{options}}}"#);
    parse_enqueue(Fields::from_body(body.as_bytes()).unwrap(), NOW, &Ids::new()).unwrap().job
}

pub(crate) fn lease(token: &str, job: &Job, now_ms: i64) -> Lease {
    Lease {
        worker: Some(format!("worker-{token}")),
        token: token.to_owned(),
        until_ms: now_ms + 30_000,
        duration_ms: 30_000,
        deadline_ms: job.timeout_ms.map_or(i64::MAX, |t| now_ms + t),
        receipt: None,
    }
}

/// A job with these options that worker `t` has claimed at [`NOW`].
pub(crate) fn claimed(options: &str) -> Job {
    let job = job(options);
    let lease = lease("t", &job, NOW);
    step(&job, Event::Claim(lease), NOW).unwrap().job
}

fn failure(text: &str) -> Failure {
    Failure::parse(&raw(text).unwrap()).unwrap()
}

fn token(token: &str) -> Holder {
    Holder { worker: None, token: Some(token.to_owned()) }
}

fn nack(job: &Job, error: &str, now_ms: i64) -> Result<Job, Refusal> {
    step(job, Event::Nack { holder: Holder::default(), failure: failure(error) }, now_ms).map(|c| c.job)
}

#[test]
fn a_nack_goes_by_the_decision_order() {
    let dead = r#"{"retry":{"on_exhaustion":"dead_letter","non_retryable_errors":["Fatal","auth.*"]}}"#;
    let table = [
        (r#"{"code":"x"}"#, State::Retryable, false),
        (r#"{"code":"x","retryable":true}"#, State::Retryable, false),
        (r#"{"code":"x","retryable":false}"#, State::Discarded, true),
        (r#"{"code":"DISCARD"}"#, State::Discarded, false),
        (r#"{"code":"FAIL"}"#, State::Discarded, false),
        (r#"{"code":"DEAD_LETTER"}"#, State::Discarded, true),
        (r#"{"code":"RETRY"}"#, State::Retryable, false),
        (r#"{"type":"Fatal"}"#, State::Discarded, true),
        (r#"{"code":"x","details":{"error_class":"auth.expired"}}"#, State::Discarded, true),
    ];
    for (error, state, dead_letter) in table {
        let job = nack(&claimed(dead), error, NOW + 1).unwrap();
        assert_eq!((job.state, job.dead_letter), (state, dead_letter), "{error}");
        assert_eq!(job.completed_at.is_some(), state == State::Discarded);
        assert!(job.lease.is_none() && job.error().is_some());
    }
}

#[test]
fn attempts_run_out() {
    let job = claimed(r#"{"retry":{"max_attempts":1}}"#);
    let job = nack(&job, r#"{"code":"x"}"#, NOW + 5).unwrap();
    assert_eq!((job.state, job.dead_letter, job.discarded_at), (State::Discarded, false, Some(NOW + 5)));
}

#[test]
fn a_returned_attempt_does_not_count_against_the_limit() {
    let mut job = claimed(r#"{"retry":{"max_attempts":3}}"#);
    let mut now = NOW;
    for attempt in 1..=3 {
        assert_eq!(job.attempt, attempt);
        job = step(&job, Event::Requeue { holder: Holder::default(), failure: None }, now).unwrap().job;
        now += 1;
        job = step(&job, Event::Claim(lease("again", &job, now)), now).unwrap().job;
    }
    let fail = |job: &Job, now| nack(job, r#"{"code":"x"}"#, now).unwrap();
    for failure in 1..=3 {
        job = fail(&job, now);
        let wanted = if failure < 3 { State::Retryable } else { State::Discarded };
        assert_eq!(job.state, wanted, "failure {failure} of attempt {}", job.attempt);
        if let Some(due) = job.due_at {
            now = due;
            job = step(&job, Event::Claim(lease("next", &job, now)), now).unwrap().job;
        }
    }
}

#[test]
fn a_lapse_after_a_returned_attempt_is_the_first_failure() {
    let job = claimed(r#"{"retry":{"max_attempts":2}}"#);
    let job = step(&job, Event::Requeue { holder: Holder::default(), failure: None }, NOW).unwrap().job;
    let job = step(&job, Event::Claim(lease("u", &job, NOW)), NOW).unwrap().job;
    assert_eq!(job.as_of(NOW + 30_000).state, State::Available);
}

#[test]
fn a_token_that_did_not_end_the_job_is_refused() {
    let first = claimed("{}");
    let later = NOW + 31_000;
    let mut second = step(&first, Event::Claim(lease("u", &first, later)), later).unwrap().job;
    // The first worker names nothing and is late, and strict fencing is off.
    second.lapsed.clear();
    let done = step(&second, Event::Ack { holder: Holder::default(), result: None }, later + 1).unwrap().job;
    let ack = Event::Ack { holder: token("u"), result: None };
    assert_eq!(step(&done, ack, later + 2).unwrap_err(), Refusal::State(State::Completed));
}

#[test]
fn a_stale_worker_is_told_the_current_attempt() {
    let first = claimed("{}");
    let later = NOW + 31_000;
    let second = step(&first, Event::Claim(lease("u", &first, later)), later).unwrap().job;
    assert_eq!(second.attempt, 2);
    let stale = Holder { worker: Some("worker-t".into()), token: None };
    for holder in [stale, token("t")] {
        for event in [
            Event::Ack { holder: holder.clone(), result: None },
            Event::Nack { holder: holder.clone(), failure: failure(r#"{"code":"x"}"#) },
            Event::Requeue { holder: holder.clone(), failure: None },
            Event::Heartbeat { holder: holder.clone(), duration_ms: None },
        ] {
            assert_eq!(step(&second, event, later + 1).unwrap_err(), Refusal::LeaseLost { attempt: 2 });
        }
    }
}

#[test]
fn a_repeated_call_with_its_token_succeeds_and_without_is_refused() {
    let done = step(&claimed("{}"), Event::Ack { holder: token("t"), result: None }, NOW + 1).unwrap().job;
    let again = |holder| step(&done, Event::Ack { holder, result: None }, NOW + 2).unwrap_err();
    assert_eq!(again(token("t")), Refusal::Repeated);
    assert_eq!(again(token("other")), Refusal::State(State::Completed));
    assert_eq!(again(Holder::default()), Refusal::State(State::Completed));

    let failed = nack(&claimed("{}"), r#"{"code":"x"}"#, NOW + 1).unwrap();
    let ack = Event::Ack { holder: token("t"), result: None };
    assert_eq!(step(&failed, ack, NOW + 2).unwrap_err(), Refusal::State(State::Retryable));
    let nack = Event::Nack { holder: token("t"), failure: failure(r#"{"code":"x"}"#) };
    assert_eq!(step(&failed, nack, NOW + 2).unwrap_err(), Refusal::Repeated);
}

#[test]
fn an_undone_claim_costs_no_attempt_and_is_its_own_lease_s() {
    let before = job("{}");
    let claimed = claimed("{}");
    let unclaim = |job: &Job, token: &str| step(job, Event::Unclaim { token: token.to_owned() }, NOW + 1);
    assert_eq!(unclaim(&claimed, "other").unwrap_err(), Refusal::LeaseLost { attempt: 1 });
    let undone = unclaim(&claimed, "t").unwrap().job;
    assert_eq!((undone.state, undone.attempt, undone.started_at), (State::Available, before.attempt, None));
    assert!(undone.lease.is_none() && undone.ended_lease.is_none());
    assert_eq!(unclaim(&undone, "t").unwrap_err(), Refusal::State(State::Available));
    // A worker that comes with the token all the same is refused: its attempt does not count.
    let ack = Event::Ack { holder: token("t"), result: None };
    assert_eq!(step(&undone, ack, NOW + 2).unwrap_err(), Refusal::State(State::Available));
}

#[test]
fn a_late_ack_is_refused_though_nobody_else_has_come() {
    let ack = Event::Ack { holder: token("t"), result: None };
    assert_eq!(step(&claimed("{}"), ack, NOW + 30_000).unwrap_err(), Refusal::State(State::Available));
}

#[test]
fn a_dead_letter_starts_over() {
    let job = nack(&claimed(r#"{"retry":{"max_attempts":1,"on_exhaustion":"dead_letter"}}"#), r#"{"code":"x"}"#, NOW)
        .unwrap();
    let job = step(&job, Event::RetryDead, NOW + 9).unwrap().job;
    assert_eq!((job.state, job.attempt, job.errors.len()), (State::Available, 0, 1));
    assert!(job.error().is_none() && job.completed_at.is_none() && job.discarded_at.is_none());
    assert_eq!(step(&job, Event::RetryDead, NOW + 10).unwrap_err(), Refusal::Repeated);
    let plain = nack(&claimed(r#"{"retry":{"max_attempts":1}}"#), r#"{"code":"x"}"#, NOW).unwrap();
    assert_eq!(step(&plain, Event::RetryDead, NOW).unwrap_err(), Refusal::State(State::Discarded));
}

#[test]
fn pending_jobs_wait_for_activation() {
    let pending = job(r#"{"pending":true}"#);
    let claim = Event::Claim(lease("t", &pending, NOW));
    assert_eq!(step(&pending, claim, NOW).unwrap_err(), Refusal::State(State::Pending));
    assert_eq!(step(&pending, Event::Activate, NOW).unwrap().job.state, State::Available);
    let later = job(r#"{"pending":true,"scheduled_at":"+PT1H"}"#);
    assert_eq!(step(&later, Event::Activate, NOW).unwrap().job.state, State::Scheduled);
    assert_eq!(step(&job("{}"), Event::Activate, NOW).unwrap_err(), Refusal::State(State::Available));
}

fn any_event() -> impl Strategy<Value = u8> {
    0u8..9
}

proptest! {
    /// I2, I3 and I4 hold for any history of events and waits.
    #[test]
    fn histories_keep_the_invariants(
        events in proptest::collection::vec((any_event(), 0i64..40_000, 0u8..3), 1..60),
        options in proptest::sample::select(vec![
            "{}", r#"{"timeout_ms":5000}"#, r#"{"expires_at":"+PT1M"}"#, r#"{"pending":true}"#,
            r#"{"scheduled_at":"+PT10S","retry":{"max_attempts":2,"on_exhaustion":"dead_letter"}}"#,
        ]),
    ) {
        let mut job = job(options);
        let mut now = NOW;
        for (i, (kind, wait, who)) in events.into_iter().enumerate() {
            now += wait;
            let before = job.as_of(now).into_owned();
            let holder = match who {
                0 => Holder::default(),
                1 => before.lease.as_ref().map(|l| token(&l.token)).unwrap_or_default(),
                _ => token("stranger"),
            };
            let event = match kind {
                0 | 1 => Event::Claim(lease(&i.to_string(), &job, now)),
                2 => Event::Ack { holder: holder.clone(), result: None },
                3 => Event::Nack { holder: holder.clone(), failure: failure(r#"{"code":"x"}"#) },
                4 => Event::Requeue { holder: holder.clone(), failure: None },
                5 => Event::Heartbeat { holder: holder.clone(), duration_ms: None },
                6 => Event::Cancel,
                7 => Event::Unclaim { token: holder.token.clone().unwrap_or_default() },
                _ => Event::Activate,
            };
            let claim = matches!(event, Event::Claim(_));
            let unclaim = matches!(event, Event::Unclaim { .. });
            let Ok(change) = step(&job, event, now) else { continue };
            prop_assert_eq!(change.from, before.state);
            prop_assert!(!before.state.is_terminal(), "a terminal job changed");
            if claim {
                prop_assert_eq!(before.state, State::Available);
                prop_assert_eq!(change.job.attempt, before.attempt + 1);
            } else {
                prop_assert_eq!(change.job.attempt, before.attempt - u32::from(unclaim));
                prop_assert!(holder.token.as_deref() != Some("stranger") || matches!(kind, 6 | 8));
            }
            prop_assert_eq!(change.job.lease.is_some(), change.job.state == State::Active);
            prop_assert_eq!(change.job.due_at.is_some(),
                            matches!(change.job.state, State::Scheduled | State::Retryable));
            job = change.job;
        }
    }
}
