//! What is remembered of a request with an idempotency key (bulk operations section 10).
//!
//! | name | holds | | name | holds |
//! |---|---|---|---|---|
//! | `h` | fingerprint of the request | | `nc` | nonce of the run that has it now |
//! | `at` | start of that run, ms | | `fa` | start of the first run, ms |
//! | `pl` | what the run writes down before it begins | | `o` `ct` `b` | answer: outcome, items, body |
//! | `ttl` | when it may go, s | | | |

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};
use futures::FutureExt;

use super::dynamo::attributes::{Item, get_n, get_u64, n, s, take_s};
use super::{Store, keys};
use crate::aws::{Service, service_error};
use ojs_model::bulk::{Answer, IdempotencyKey, Operation, Outcome};
use ojs_model::error::{Error, Result};

/// How long an answer is kept, s: 24 hours are asked for (section 10.2), and one more covers clocks and the run itself.
const KEPT_S: i64 = 25 * 3_600;
/// The key is new, or older than answers are kept.
const UNUSED: &str = "attribute_not_exists(pk) OR #ttl <= :now";
/// The run is the one that has the record, and nothing has been answered yet.
const OURS: &str = "nc = :nonce AND attribute_not_exists(o)";
/// Writes an answer down.
const ANSWERED: &str = "SET o = :outcome, ct = :count, b = :body REMOVE pl";

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
        let item = new_record(ticket, fingerprint, plan, now_ms);
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(UNUSED)
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", n(now_ms / 1_000))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .boxed()
            .await;
        let failure = match sent {
            Ok(_) => return Ok(Begun::New),
            Err(failure) => failure,
        };
        if let SdkError::ServiceError(e) = &failure
            && let PutItemError::ConditionalCheckFailedException(refused) = e.err()
        {
            let item = refused.item.clone().ok_or_else(broken)?;
            let record = record_of(item)?;
            // An SDK retry of a put that took effect meets its own item.
            return Ok(if record.nonce == ticket.nonce { Begun::New } else { Begun::There(Box::new(record)) });
        }
        Err(service_error(Service::DynamoDb, "PutItem", &failure))
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
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(new_record(ticket, fingerprint, Some(plan), now_ms)))
            .condition_expression(UNUSED)
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", n(now_ms / 1_000))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Takes the record over from a run that has died or given up: from here on that one can write nothing into it, and so
    /// commit no batch. `plan` replaces its plan, if given. `false` when somebody else was quicker.
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
        let mut change = "SET nc = :nonce, #at = :now".to_owned();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ticket.key()))
            .condition_expression("(nc = :old OR nc = :nonce) AND attribute_not_exists(o)")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":old", n(from_nonce))
            .expression_attribute_values(":nonce", n(ticket.nonce))
            .expression_attribute_values(":now", n(now_ms));
        if let Some(plan) = plan {
            change.push_str(", pl = :plan");
            update = update.expression_attribute_values(":plan", s(plan));
        }
        match update.update_expression(change).send().boxed().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
    }

    /// Writes down what a run is going to do. `false` when the record is not its any more.
    ///
    /// # Errors
    /// The AWS error; it may be written.
    pub async fn plan_request(&self, ticket: &Ticket, plan: &str) -> Result<bool> {
        self.change_request(ticket, "SET pl = :plan", ":plan", s(plan)).await
    }

    /// The run ends without an answer: the next one with the key need not wait for it.
    ///
    /// # Errors
    /// The AWS error; the next one then waits a minute.
    pub async fn give_up_request(&self, ticket: &Ticket) -> Result<bool> {
        self.change_request(ticket, "SET #at = :zero", ":zero", n(0)).await
    }

    async fn change_request(&self, ticket: &Ticket, change: &str, name: &str, value: AttributeValue) -> Result<bool> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ticket.key()))
            .update_expression(change)
            .condition_expression(OURS)
            .expression_attribute_values(":nonce", n(ticket.nonce))
            .expression_attribute_values(name, value);
        if change.contains("#at") {
            update = update.expression_attribute_names("#at", "at");
        }
        match update.send().boxed().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
    }

    /// Writes the answer down: one conditional update. `false` when the record is not the run's any more, or has its answer.
    ///
    /// # Errors
    /// The AWS error; it may be written.
    pub async fn answer_request(&self, ticket: &Ticket, answer: &Answer) -> Result<bool> {
        let answer = answer.kept();
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ticket.key()))
            .update_expression(ANSWERED)
            .condition_expression(OURS)
            .expression_attribute_values(":nonce", n(ticket.nonce))
            .expression_attribute_values(":outcome", s(answer.outcome.as_str()))
            .expression_attribute_values(":count", n(answer.count))
            .expression_attribute_values(":body", s(answer.body))
            .send()
            .boxed()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
    }

    /// The same as a part of the transaction that makes the answer true.
    ///
    /// # Errors
    /// None that can happen.
    pub(super) fn transact_answer(&self, ticket: &Ticket, answer: &Answer) -> Result<TransactWriteItem> {
        let answer = answer.kept();
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(ticket.key()))
            .update_expression(ANSWERED)
            .condition_expression(OURS)
            .expression_attribute_values(":nonce", n(ticket.nonce))
            .expression_attribute_values(":outcome", s(answer.outcome.as_str()))
            .expression_attribute_values(":count", n(answer.count))
            .expression_attribute_values(":body", s(answer.body))
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

fn new_record(ticket: &Ticket, fingerprint: [u8; 32], plan: Option<&str>, now_ms: i64) -> Item {
    let mut item = ticket.key();
    item.insert("h".to_owned(), AttributeValue::B(Blob::new(fingerprint)));
    item.insert("nc".to_owned(), n(ticket.nonce));
    item.insert("at".to_owned(), n(now_ms));
    item.insert("fa".to_owned(), n(now_ms));
    item.insert("ttl".to_owned(), n(now_ms / 1_000 + KEPT_S));
    if let Some(plan) = plan {
        item.insert("pl".to_owned(), s(plan));
    }
    item
}

pub(super) fn record_of(mut item: Item) -> Result<Record> {
    let fingerprint = item.get("h").and_then(|hash| hash.as_b().ok()?.as_ref().try_into().ok()).ok_or_else(broken)?;
    let answer = match take_s(&mut item, "o") {
        Some(outcome) => Some(Answer {
            outcome: Outcome::parse(&outcome).ok_or_else(broken)?,
            count: get_u64(&item, "ct").and_then(|count| usize::try_from(count).ok()).ok_or_else(broken)?,
            body: take_s(&mut item, "b").ok_or_else(broken)?,
        }),
        None => None,
    };
    Ok(Record {
        fingerprint,
        nonce: get_u64(&item, "nc").ok_or_else(broken)?,
        started_at: get_n(&item, "at").ok_or_else(broken)?,
        first_at: get_n(&item, "fa").ok_or_else(broken)?,
        plan: take_s(&mut item, "pl"),
        answer,
    })
}

fn broken() -> Error {
    Error::internal("a record of an idempotency key is missing an attribute")
}
