//! What a received message means: whether its job is claimed, and else what becomes of the message.

use std::borrow::Cow;

use super::{MAX_DELAY_S, MAX_HIDDEN_S};
use crate::batch::BatchCommit;
use crate::ids::JobId;
use crate::job::{Event, Job, Lease, Refusal, State, step};

/// A fetch waits for a job that is due within this time, ms.
pub const SOON_MS: i64 = 1_000;
/// How long a message is hidden whose job cannot run yet, s.
pub const PUT_BACK_S: i64 = 1;
/// How long the message of a job that waits for its activation is hidden, s.
pub const PENDING_HIDE_S: i64 = 900;
/// A message younger than this may have overtaken the write that it announces, ms.
const YOUNG_MS: i64 = 60_000;

/// What is known of a received message besides its job.
#[derive(Debug, Clone, Copy)]
pub struct MessageFacts<'a> {
    /// The OJS queue that it came from.
    pub queue: &'a str,
    /// When it was sent, ms since the Unix epoch.
    pub sent_at_ms: i64,
    /// Whether its SQS queue is a FIFO queue.
    pub is_fifo: bool,
    /// Whether the batch that the job came with is committed.
    pub batch: BatchCommit,
    /// Whether the job that this one waits for is known to have ended.
    pub predecessor_ended: bool,
}

impl MessageFacts<'_> {
    fn is_young(&self, now_ms: i64) -> bool {
        is_young(self.sent_at_ms, now_ms)
    }
}

/// Whether a message may have overtaken the write that it announces.
#[must_use]
pub fn is_young(sent_at_ms: i64, now_ms: i64) -> bool {
    now_ms - sent_at_ms < YOUNG_MS
}

/// What is done with a message and its job. Each write is conditional on the job as it was read.
#[derive(Debug, Clone)]
pub enum Disposition {
    /// Acquire the job's limits, then write it as claimed.
    Claim(Box<Job>),
    /// Find out whether this job, which the message's job waits for, has ended; then decide again.
    AskPredecessor(JobId),
    /// Write the job's end, then do what follows from it, the message's deletion included.
    End(Box<Job>),
    /// The job has ended: finish what follows from its end. Then delete the message, or hide it for a second.
    FinishEnd {
        /// Whether an operator's retry may have sent the message just now.
        hide: bool,
    },
    /// Write the job into the due index, unless it is there, and delete the message.
    MoveToDueIndex(Option<Box<Job>>),
    /// Keep the message in hand: its job is due within [`SOON_MS`].
    Keep {
        /// When it is due, ms since the Unix epoch.
        due_at_ms: i64,
    },
    /// Hide the message.
    Hide {
        /// For how long, s.
        seconds: i64,
    },
    /// Delete the message: the job is not there or has another one.
    Delete,
}

impl Disposition {
    /// Hidden for this long, s, as far as SQS can.
    #[must_use]
    pub fn hide(seconds: i64) -> Self {
        Self::Hide { seconds: seconds.clamp(PUT_BACK_S, MAX_HIDDEN_S) }
    }

    /// Of a message without a meaning now: deleted, unless it may have overtaken what it announces.
    #[must_use]
    pub fn delete_unless_young(sent_at_ms: i64, now_ms: i64) -> Self {
        if is_young(sent_at_ms, now_ms) { Self::hide(PUT_BACK_S) } else { Self::Delete }
    }

    /// Of the message of a job that is due at `due_at_ms`: never deleted, for the job may have no other.
    #[must_use]
    pub fn not_yet(due_at_ms: i64, now_ms: i64) -> Self {
        let wait_ms = due_at_ms - now_ms;
        if wait_ms <= SOON_MS { Self::Keep { due_at_ms } } else { Self::hide(wait_ms / 1_000) }
    }
}

/// What a message means for its job as stored, should the job be claimed under `lease` at `now_ms` (ms since the Unix epoch).
#[must_use]
pub fn disposition(facts: &MessageFacts<'_>, stored: &Job, lease: Lease, now_ms: i64) -> Disposition {
    if let Some(early) = before_the_job(facts, stored, now_ms) {
        return early;
    }
    if let Some(cancelled) = cancelled(stored, now_ms) {
        return Disposition::End(Box::new(cancelled));
    }
    let mut job = Cow::Borrowed(stored);
    if let Some(on) = stored.waits_for.as_ref().filter(|_| stored.as_of(now_ms).state == State::Available) {
        if !facts.predecessor_ended {
            return Disposition::AskPredecessor(on.clone());
        }
        job.to_mut().waits_for = None;
    }
    match step(&job, Event::Claim(lease), now_ms) {
        Ok(change) => Disposition::Claim(Box::new(change.job)),
        Err(Refusal::NotYet { at_ms }) => before_its_time(facts, stored, at_ms, now_ms),
        Err(Refusal::State(State::Pending)) => pending(facts, stored, now_ms),
        Err(_) => ended(facts, stored, now_ms),
    }
}

/// What the place of the message, its age and the job's batch say, whatever the job's state.
fn before_the_job(facts: &MessageFacts<'_>, stored: &Job, now_ms: i64) -> Option<Disposition> {
    if stored.queue != facts.queue {
        // The job has moved and has a message in its new queue; or it is about to move here, and the message is sent first.
        return Some(Disposition::delete_unless_young(facts.sent_at_ms, now_ms));
    }
    if stored.as_of(now_ms).in_due_index && facts.is_young(now_ms) {
        // The scheduler sends the message before it takes the job out of the index.
        return Some(Disposition::hide(PUT_BACK_S));
    }
    match facts.batch {
        BatchCommit::Committed => None,
        BatchCommit::Undecided => Some(Disposition::hide(PUT_BACK_S)),
        BatchCommit::Aborted => Some(Disposition::delete_unless_young(facts.sent_at_ms, now_ms)),
    }
}

/// The job as cancelled, where its workflow was cancelled while a worker ran it and no worker runs it any more.
fn cancelled(stored: &Job, now_ms: i64) -> Option<Job> {
    stored.cancel_requested_at?;
    let change = step(stored, Event::Cancel, now_ms).ok()?;
    (change.from != State::Active).then_some(change.job)
}

fn before_its_time(facts: &MessageFacts<'_>, stored: &Job, at_ms: i64, now_ms: i64) -> Disposition {
    let wait_ms = at_ms - now_ms;
    // An operator's retry makes the job available, and sends the message first.
    if wait_ms > SOON_MS && stored.state == State::Retryable && facts.is_young(now_ms) {
        return Disposition::hide(PUT_BACK_S);
    }
    let current = stored.as_of(now_ms);
    if wait_ms > MAX_DELAY_S * 1_000 && current.state != State::Active && !facts.is_fifo {
        let waiting = (!stored.in_due_index).then(|| Box::new(Job { in_due_index: true, ..current.into_owned() }));
        return Disposition::MoveToDueIndex(waiting);
    }
    Disposition::not_yet(at_ms, now_ms)
}

/// A request that activates the job sends the message first.
fn pending(facts: &MessageFacts<'_>, stored: &Job, now_ms: i64) -> Disposition {
    if facts.is_young(now_ms) {
        return Disposition::hide(PUT_BACK_S);
    }
    // Its activation sends another message: this one would keep its group waiting, or was sent for the cron tick.
    if facts.is_fifo || stored.cron.is_some() { Disposition::Delete } else { Disposition::hide(PENDING_HIDE_S) }
}

fn ended(facts: &MessageFacts<'_>, stored: &Job, now_ms: i64) -> Disposition {
    if !stored.state.is_terminal() {
        return Disposition::End(Box::new(stored.as_of(now_ms).into_owned()));
    }
    // An operator's retry sends the message before it makes the job available.
    Disposition::FinishEnd { hide: stored.state == State::Discarded && facts.is_young(now_ms) }
}

#[cfg(test)]
#[path = "disposition_tests.rs"]
mod tests;
