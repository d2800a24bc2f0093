#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::job::step::tests::{NOW, claimed, job, lease};
use crate::job::{CronOrigin, Holder};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn facts(sent_at_ms: i64) -> MessageFacts<'static> {
    let batch = BatchCommit::Committed;
    MessageFacts { queue: "default", sent_at_ms, is_fifo: false, batch, predecessor_ended: false }
}

fn decide(facts: &MessageFacts<'_>, stored: &Job, now_ms: i64) -> Disposition {
    disposition(facts, stored, lease("new", stored, now_ms), now_ms)
}

/// The disposition in a word, with what it holds.
fn word(disposition: &Disposition) -> String {
    match disposition {
        Disposition::Claim(job) => format!("claim {}", job.attempt),
        Disposition::AskPredecessor(_) => "ask".to_owned(),
        Disposition::End(job) => format!("end {}", job.state.as_str()),
        Disposition::FinishEnd { hide } => format!("finish{}", if *hide { " hide" } else { "" }),
        Disposition::MoveToDueIndex(job) => format!("index{}", if job.is_some() { " write" } else { "" }),
        Disposition::Keep { .. } => "keep".to_owned(),
        Disposition::Hide { seconds } => format!("hide {seconds}"),
        Disposition::Delete => "delete".to_owned(),
    }
}

fn changed(mut job: Job, change: impl FnOnce(&mut Job)) -> Job {
    change(&mut job);
    job
}

fn acked() -> Job {
    step(&claimed("{}"), Event::Ack { holder: Holder::default(), result: None }, NOW).unwrap().job
}

fn discarded() -> Job {
    changed(acked(), |job| job.state = State::Discarded)
}

fn waiting_for_another() -> Job {
    changed(job("{}"), |job| job.waits_for = Some(job.id.clone()))
}

#[test]
fn each_state_has_one_disposition() {
    let retryable = || changed(job(r#"{"scheduled_at":"+PT1M"}"#), |job| job.state = State::Retryable);
    let indexed = || changed(job(r#"{"scheduled_at":"+PT2H"}"#), |job| job.in_due_index = true);
    let cron_pending = || {
        let (name, expression, timezone) = ("c".to_owned(), "* * * * *".to_owned(), "UTC".to_owned());
        let origin = CronOrigin { name, expression, timezone, run: 1, at_ms: NOW };
        changed(job(r#"{"pending":true}"#), |job| job.cron = Some(origin))
    };
    let cancelled = || changed(claimed("{}"), |job| job.cancel_requested_at = Some(NOW));
    let one_attempt = r#"{"retry":{"max_attempts":1}}"#;
    let table: [(&str, Job, i64, &str, &str); 19] = [
        // what, the job, ms from its making to now; the disposition of a young message, and of an old one
        ("available", job("{}"), 0, "claim 1", "claim 1"),
        ("active", claimed("{}"), 10_000, "hide 20", "hide 20"),
        ("active, nearly lapsed", claimed("{}"), 29_500, "keep", "keep"),
        ("lapsed, attempts left", claimed("{}"), 30_000, "claim 2", "claim 2"),
        ("lapsed, the last attempt", claimed(one_attempt), 30_000, "end discarded", "end discarded"),
        ("scheduled within a second", job(r#"{"scheduled_at":"+PT1S"}"#), 500, "keep", "keep"),
        ("scheduled in minutes", job(r#"{"scheduled_at":"+PT10M"}"#), 0, "hide 600", "hide 600"),
        ("scheduled in hours", job(r#"{"scheduled_at":"+PT2H"}"#), 0, "index write", "index write"),
        ("in the due index", indexed(), 0, "hide 1", "index"),
        ("in the due index, due", indexed(), 2 * HOUR, "claim 1", "claim 1"),
        ("retryable", retryable(), 0, "hide 1", "hide 60"),
        ("pending", job(r#"{"pending":true}"#), 0, "hide 1", "hide 900"),
        ("pending, of a cron job", cron_pending(), 0, "hide 1", "delete"),
        ("completed", acked(), 0, "finish", "finish"),
        ("discarded", discarded(), 0, "finish hide", "finish"),
        ("expired", job(r#"{"expires_at":"+PT5S"}"#), 5_000, "end discarded", "end discarded"),
        ("cancelled while it ran, running", cancelled(), 0, "hide 30", "hide 30"),
        ("cancelled while it ran, lapsed", cancelled(), 30_000, "end cancelled", "end cancelled"),
        ("waits for another job", waiting_for_another(), 0, "ask", "ask"),
    ];
    for (what, job, after_ms, young, old) in table {
        let now = NOW + after_ms;
        let of = |sent_at_ms| word(&decide(&facts(sent_at_ms), &job, now));
        assert_eq!((of(now).as_str(), of(now - MINUTE).as_str()), (young, old), "{what}");
    }
}

#[test]
fn place_batch_and_predecessor_are_asked_first() {
    let old = facts(NOW - MINUTE);
    let fifo = MessageFacts { is_fifo: true, ..old };
    for (what, facts, job, wanted) in [
        ("another queue", MessageFacts { queue: "other", ..old }, job("{}"), "delete"),
        ("another queue, young", MessageFacts { queue: "other", ..facts(NOW) }, job("{}"), "hide 1"),
        ("batch open", MessageFacts { batch: BatchCommit::Undecided, ..fifo }, job("{}"), "hide 1"),
        ("batch aborted", MessageFacts { batch: BatchCommit::Aborted, ..fifo }, job("{}"), "delete"),
        ("predecessor over", MessageFacts { predecessor_ended: true, ..old }, waiting_for_another(), "claim 1"),
        // A FIFO message is not moved to the due index: its group waits for it.
        ("hours, FIFO", fifo, job(r#"{"scheduled_at":"+PT2H"}"#), "hide 7200"),
        ("pending, FIFO", fifo, job(r#"{"pending":true}"#), "delete"),
    ] {
        assert_eq!(word(&decide(&facts, &job, NOW)), wanted, "{what}");
    }
}

proptest! {
    /// I1: the last message of a live job is never deleted. It is deleted only once the job has ended, is in the due index, has
    /// another message, or was never there.
    #[test]
    fn the_last_message_of_a_live_job_is_never_deleted(
        kind in 0..9_u8, after_ms in 0..3 * HOUR, age_ms in 0..HOUR, is_fifo: bool, predecessor_ended: bool,
        waits: bool, cancel: bool,
    ) {
        let mut stored = match kind {
            0 => job("{}"),
            1 => claimed("{}"),
            2 => claimed(r#"{"retry":{"max_attempts":1},"timeout_ms":5000}"#),
            3 => job(r#"{"scheduled_at":"+PT1H"}"#),
            4 => changed(job(r#"{"scheduled_at":"+PT1H"}"#), |job| job.in_due_index = true),
            5 => job(r#"{"expires_at":"+PT1M"}"#),
            6 => job(r#"{"pending":true}"#),
            7 => changed(job(r#"{"scheduled_at":"+PT1H"}"#), |job| job.state = State::Retryable),
            _ => acked(),
        };
        if waits && !stored.state.is_terminal() {
            stored.waits_for = Some(stored.id.clone());
        }
        if cancel && stored.state == State::Active {
            stored.cancel_requested_at = Some(NOW);
        }
        let now = NOW + after_ms;
        let facts = MessageFacts { is_fifo, predecessor_ended, ..facts(now - age_ms) };
        match decide(&facts, &stored, now) {
            Disposition::Delete => prop_assert!(stored.state == State::Pending && is_fifo),
            Disposition::FinishEnd { .. } => prop_assert!(stored.state.is_terminal()),
            Disposition::End(job) => prop_assert!(job.state.is_terminal() && !stored.state.is_terminal()),
            Disposition::MoveToDueIndex(job) => {
                prop_assert!(job.map_or(stored.in_due_index, |job| job.in_due_index && job.due_at.is_some()));
            }
            Disposition::Claim(job) => {
                prop_assert_eq!(job.state, State::Active);
                prop_assert!(stored.waits_for.is_none() || predecessor_ended);
            }
            Disposition::Hide { seconds } => prop_assert!((1..=MAX_HIDDEN_S).contains(&seconds)),
            Disposition::Keep { due_at_ms } => prop_assert!(due_at_ms - now <= SOON_MS),
            Disposition::AskPredecessor(_) => prop_assert!(stored.waits_for.is_some() && !predecessor_ended),
        }
    }
}
