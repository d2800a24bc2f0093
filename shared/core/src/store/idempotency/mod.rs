//! What is remembered of a request with an idempotency key (bulk operations section 10).

pub(super) mod attributes;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};

use super::dynamo::attributes::{Attribute, Item, get_n, get_u64, n, s, take_s};
use super::dynamo::expression::{Condition, item_is_absent};
use super::dynamo::put_item::PutItem;
use super::dynamo::update_item::UpdateItem;
use super::dynamo::written::Written;
use super::{Store, keys};
use attributes as idempotency;
use ojs_model::bulk::{Answer, IdempotencyKey, Operation, Outcome};
use ojs_model::error::{Error, Result};

/// How long an answer is kept, s: 24 hours are asked for (section 10.2), and one more covers clocks and the run itself.
const KEPT_S: i64 = 25 * 3_600;
/// A run of a request: which key it is for, and the nonce by which the record knows it.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// What the request does.
    pub operation: Operation,
    /// Digest of its idempotency key.
    pub digest: String,
    /// Marks the run.
    pub nonce: u64,
}

/// What there is under a key.
#[derive(Debug, Clone)]
pub struct Record {
    /// Fingerprint of the request.
    pub fingerprint: [u8; 32],
    /// The run that has it now.
    pub nonce: u64,
    /// When that run started, ms since the Unix epoch; 0 when it has given up.
    pub started_at: i64,
    /// When the first run started, ms since the Unix epoch.
    pub first_at: i64,
    /// What the run has written down before it began.
    pub plan: Option<String>,
    /// What was answered.
    pub answer: Option<Answer>,
}

/// How an attempt to begin ended.
#[derive(Debug)]
pub enum Begun {
    /// The key is new, and the run's.
    New,
    /// There has been a request with this key.
    There(Box<Record>),
}

impl Ticket {
    /// A run, to be marked by `nonce`.
    #[must_use]
    pub fn new(operation: Operation, key: &IdempotencyKey, nonce: u64) -> Self {
        Self { operation, digest: key.digest(), nonce }
    }

    fn key(&self) -> keys::Key {
        keys::idempotency(self.operation.as_str(), &self.digest)
    }
}

impl Store {
    /// Begins a request whose key is new, or older than answers are kept: one conditional put, which answers what is there
    /// otherwise. The table's own expiry may come days late, so the time is compared as well.
    ///
    /// # Errors
    /// The AWS error; the record may be there, and is taken over when it is a minute old.
    pub async fn begin_request(
        &self,
        ticket: &Ticket,
        fingerprint: [u8; 32],
        plan: Option<&str>,
        now_ms: i64,
    ) -> Result<Begun> {
        let put = PutItem::new(new_record(ticket, fingerprint, plan, now_ms)).when(is_unused(now_ms));
        match put.showing_refused().put(self).await? {
            Written::Done(_) => Ok(Begun::New),
            Written::Refused(item) => {
                let record = record_of(item.ok_or_else(broken)?)?;
                // An SDK retry of a put that took effect finds its own item.
                Ok(if record.nonce == ticket.nonce { Begun::New } else { Begun::There(Box::new(record)) })
            }
        }
    }

    /// The same as a part of the transaction that makes what `plan` names: then nothing is to be answered later.
    ///
    /// # Errors
    /// None that can happen.
    pub(super) fn transact_begin(
        &self,
        ticket: &Ticket,
        fingerprint: [u8; 32],
        plan: &str,
        now_ms: i64,
    ) -> Result<TransactWriteItem> {
        let put = PutItem::new(new_record(ticket, fingerprint, Some(plan), now_ms)).when(is_unused(now_ms));
        put.showing_refused().put_action(self)
    }

    /// Takes the record over from a run that has died or given up: from here on that one can write nothing into it, and so
    /// commit no batch. `plan` replaces its plan, if given. `false` when another run was quicker.
    ///
    /// # Errors
    /// The AWS error; it may be taken over, and is free again when it is a minute old.
    pub async fn take_over_request(
        &self,
        ticket: &Ticket,
        from_nonce: u64,
        plan: Option<&str>,
        now_ms: i64,
    ) -> Result<bool> {
        let not_taken = idempotency::NONCE.is(from_nonce).or(idempotency::NONCE.is(ticket.nonce));
        let take = UpdateItem::of(ticket.key())
            .when(not_taken.and(idempotency::OUTCOME.is_absent()))
            .set(idempotency::NONCE, ticket.nonce)
            .set(idempotency::STARTED_AT, now_ms)
            .set_some(idempotency::PLAN, plan);
        Ok(take.update(self).await?.is_done())
    }

    /// Writes down what a run is going to do. `false` when the record is not its any more.
    ///
    /// # Errors
    /// The AWS error; it may be written.
    pub async fn plan_request(&self, ticket: &Ticket, plan: &str) -> Result<bool> {
        let note = UpdateItem::of(ticket.key()).when(is_ours(ticket)).set(idempotency::PLAN, plan);
        Ok(note.update(self).await?.is_done())
    }

    /// The run ends without an answer: the next one with the key need not wait for it.
    ///
    /// # Errors
    /// The AWS error; the next one then waits a minute.
    pub async fn give_up_request(&self, ticket: &Ticket) -> Result<bool> {
        let end = UpdateItem::of(ticket.key()).when(is_ours(ticket)).set(idempotency::STARTED_AT, 0);
        Ok(end.update(self).await?.is_done())
    }

    /// Writes the answer down: one conditional update. `false` when the record is not the run's any more, or has its answer.
    ///
    /// # Errors
    /// The AWS error; it may be written.
    pub async fn answer_request(&self, ticket: &Ticket, answer: &Answer) -> Result<bool> {
        Ok(answer_of(ticket, answer).update(self).await?.is_done())
    }

    /// The same as a part of the transaction that makes the answer true.
    ///
    /// # Errors
    /// None that can happen.
    pub(super) fn transact_answer(&self, ticket: &Ticket, answer: &Answer) -> Result<TransactWriteItem> {
        answer_of(ticket, answer).update_action(self)
    }
}

/// The key is new, or older than answers are kept.
fn is_unused(now_ms: i64) -> Condition {
    item_is_absent().or(idempotency::TTL.at_most(now_ms / 1_000))
}

/// The run is the one that has the record, and nothing has been answered yet.
fn is_ours(ticket: &Ticket) -> Condition {
    idempotency::NONCE.is(ticket.nonce).and(idempotency::OUTCOME.is_absent())
}

/// Writes an answer down.
fn answer_of(ticket: &Ticket, answer: &Answer) -> UpdateItem {
    let answer = answer.kept();
    UpdateItem::of(ticket.key())
        .when(is_ours(ticket))
        .set(idempotency::OUTCOME, answer.outcome.as_str())
        .set(idempotency::COUNT, answer.count)
        .set(idempotency::BODY, answer.body)
        .remove([idempotency::PLAN])
}

fn new_record(ticket: &Ticket, fingerprint: [u8; 32], plan: Option<&str>, now_ms: i64) -> Item {
    let mut item = ticket.key();
    let mut put = |attribute: Attribute, value| item.insert(attribute.name().to_owned(), value);
    put(idempotency::FINGERPRINT, AttributeValue::B(Blob::new(fingerprint)));
    put(idempotency::NONCE, n(ticket.nonce));
    put(idempotency::STARTED_AT, n(now_ms));
    put(idempotency::FIRST_AT, n(now_ms));
    put(idempotency::TTL, n(now_ms / 1_000 + KEPT_S));
    if let Some(plan) = plan {
        put(idempotency::PLAN, s(plan));
    }
    item
}

pub(super) fn record_of(mut item: Item) -> Result<Record> {
    let fingerprint = item
        .get(idempotency::FINGERPRINT.name())
        .and_then(|hash| hash.as_b().ok()?.as_ref().try_into().ok())
        .ok_or_else(broken)?;
    let answer = match take_s(&mut item, idempotency::OUTCOME) {
        Some(outcome) => Some(Answer {
            outcome: Outcome::parse(&outcome).ok_or_else(broken)?,
            count: get_u64(&item, idempotency::COUNT)
                .and_then(|count| usize::try_from(count).ok())
                .ok_or_else(broken)?,
            body: take_s(&mut item, idempotency::BODY).ok_or_else(broken)?,
        }),
        None => None,
    };
    Ok(Record {
        fingerprint,
        nonce: get_u64(&item, idempotency::NONCE).ok_or_else(broken)?,
        started_at: get_n(&item, idempotency::STARTED_AT).ok_or_else(broken)?,
        first_at: get_n(&item, idempotency::FIRST_AT).ok_or_else(broken)?,
        plan: take_s(&mut item, idempotency::PLAN),
        answer,
    })
}

fn broken() -> Error {
    Error::internal("a record of an idempotency key is missing an attribute")
}
