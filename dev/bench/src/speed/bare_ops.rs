//! The AWS calls of the three operations, issued bare: same shapes, same sizes, same concurrency, and nothing else.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use aws_sdk_sqs::types::MessageSystemAttributeName;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join;
use ojs_core::aws::Clients;
use ojs_core::{Clock, Engine, Settings, SystemClock};
use ojs_model::Ids;
use serde::Deserialize;
use serde_json::{Value, json};

use super::subject::Subject;
use crate::Outcome;
use crate::lab::{WORKER, request};

type Item = HashMap<String, AttributeValue>;

/// Lease, s.
const LEASE_S: i32 = 1_800;

pub(crate) struct Bare {
    clients: Clients,
    settings: Settings,
    /// A job's item as the engine makes it; each put stores a copy under another key.
    template: Item,
    /// On the same table; makes queues.
    engine: Engine,
    ids: Ids,
    urls: RwLock<HashMap<String, String>>,
    args: Value,
}

/// A job that was fetched.
pub(crate) struct Held {
    key: Item,
    url: String,
    queue: String,
    receipt: String,
}

/// The part of a message that a fetch needs.
#[derive(Deserialize)]
struct Reference<'a> {
    id: &'a str,
}

impl Bare {
    /// On the table of `settings`, which `engine` has made.
    pub(crate) async fn new(clients: Clients, settings: Settings, engine: Engine, args: Value) -> Outcome<Self> {
        let job = engine.enqueue(request(&args, "template", &json!({}))?).await?.job;
        let template = clients
            .dynamodb
            .get_item()
            .table_name(&settings.table)
            .set_key(Some(key(job.id.as_str())))
            .send()
            .await?
            .item
            .ok_or("the template has no item")?;
        Ok(Self { clients, settings, template, engine, ids: Ids::new(), urls: RwLock::default(), args })
    }

    fn url(&self, queue: &str) -> Outcome<String> {
        let urls = self.urls.read().unwrap_or_else(PoisonError::into_inner);
        Ok(urls.get(queue).cloned().ok_or("the queue was not prepared")?)
    }

    async fn put(&self, id: &str, queue: &str, now_ms: i64) -> Outcome<()> {
        let mut item = self.template.clone();
        item.extend(key(id));
        item.insert("q".to_owned(), s(queue));
        // Spread as the engine spreads it.
        item.insert("lp".to_owned(), s(format!("{queue}#{}", now_ms % i64::from(self.settings.index_shards))));
        // As long as the engine's: its time, then the id.
        let sort = [&now_ms.to_be_bytes()[2..], &id.as_bytes()[..16]].concat();
        item.insert("lo".to_owned(), AttributeValue::B(Blob::new(sort)));
        item.insert("ca".to_owned(), n(now_ms));
        item.insert("ea".to_owned(), n(now_ms));
        self.clients
            .dynamodb
            .put_item()
            .table_name(&self.settings.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await?;
        Ok(())
    }

    async fn send(&self, id: &str, queue: &str) -> Outcome<()> {
        let body = json!({"specversion": "1.0", "id": id, "type": "bench.job", "queue": queue}).to_string();
        self.clients.sqs.send_message().queue_url(self.url(queue)?).message_body(body).send().await?;
        Ok(())
    }

    /// `false` when the put has not landed yet.
    async fn claim(&self, key: Item, queue: &str, receipt: &str) -> Outcome<bool> {
        let sent = self
            .clients
            .dynamodb
            .update_item()
            .table_name(&self.settings.table)
            .set_key(Some(key))
            .update_expression(
                "SET #s = :active, n = n + :one, r = r + :one, sa = :now, lt = :token, \
                 vd = if_not_exists(vt, :length), lu = if_not_exists(vt, :length) + :now, \
                 xd = if_not_exists(tm, :none) + :now, rh = :receipt, ea = if_not_exists(du, ea), lw = :worker \
                 REMOVE du, dup, dus, nc",
            )
            .condition_expression(
                "q = :queue AND (#s = :available OR (#s IN (:scheduled, :retryable) AND du <= :now)) \
                 AND (attribute_not_exists(ex) OR ex > :now)",
            )
            .expression_attribute_names("#s", "s")
            .expression_attribute_values(":active", s("active"))
            .expression_attribute_values(":available", s("available"))
            .expression_attribute_values(":scheduled", s("scheduled"))
            .expression_attribute_values(":retryable", s("retryable"))
            .expression_attribute_values(":queue", s(queue))
            .expression_attribute_values(":worker", s(WORKER))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(SystemClock.now_ms()))
            .expression_attribute_values(":none", n(1_000_000_000_000_000_i64))
            .expression_attribute_values(":token", s(self.ids.lease_token()))
            .expression_attribute_values(":receipt", AttributeValue::B(Blob::new(STANDARD.decode(receipt)?)))
            .expression_attribute_values(":length", n(LEASE_S * 1_000))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) => {
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }

    async fn complete(&self, key: Item) -> Outcome<()> {
        let now = SystemClock.now_ms();
        self.clients
            .dynamodb
            .update_item()
            .table_name(&self.settings.table)
            .set_key(Some(key))
            .update_expression(
                "SET #s = :completed, r = r + :one, xa = :now, #ttl = :ttl, nc = :nonce REMOVE lw, lu, vd, xd, rh",
            )
            .condition_expression("#s = :active AND lu > :now AND xd > :now")
            .expression_attribute_names("#s", "s")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":completed", s("completed"))
            .expression_attribute_values(":active", s("active"))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(now))
            .expression_attribute_values(":nonce", n(self.ids.nonce()))
            .expression_attribute_values(":ttl", n(now / 1_000 + self.settings.retention.completed_s))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await?;
        Ok(())
    }

    async fn count(&self, queue: &str) -> Outcome<()> {
        // One of eight shards, as the engine has it.
        let counter = Item::from([
            ("pk".to_owned(), s(format!("COUNTER#{queue}#{}", SystemClock.now_ms() % 8))),
            ("sk".to_owned(), s("C")),
        ]);
        self.clients
            .dynamodb
            .update_item()
            .table_name(&self.settings.table)
            .set_key(Some(counter))
            .update_expression("ADD #outcome :one")
            .expression_attribute_names("#outcome", "completed")
            .expression_attribute_values(":one", n(1))
            .send()
            .await?;
        Ok(())
    }

    async fn delete(&self, url: &str, receipt: &str) -> Outcome<()> {
        self.clients.sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await?;
        Ok(())
    }
}

impl Subject for Bare {
    type Held = Held;

    async fn prepare(&self, queue: &str) -> Outcome<()> {
        // An ordinary job, which a bare fetch takes like any other.
        self.engine.enqueue(request(&self.args, queue, &json!({}))?).await?;
        let name = format!("{}-{queue}", self.settings.queue_prefix);
        let url = self.clients.sqs.get_queue_url().queue_name(name).send().await?.queue_url;
        let url = url.ok_or("the queue has no URL")?;
        self.urls.write().unwrap_or_else(PoisonError::into_inner).insert(queue.to_owned(), url);
        if let Some(held) = self.fetch(queue).await? {
            self.ack(held).await?;
        }
        Ok(())
    }

    async fn enqueue(&self, queue: &str) -> Outcome<()> {
        let now = SystemClock.now_ms();
        let id = self.ids.job_id(now);
        let (put, sent) = join(self.put(id.as_str(), queue, now), self.send(id.as_str(), queue)).await;
        put.and(sent)
    }

    async fn fetch(&self, queue: &str) -> Outcome<Option<Held>> {
        let url = self.url(queue)?;
        let answer = self
            .clients
            .sqs
            .receive_message()
            .queue_url(&url)
            .max_number_of_messages(1)
            .visibility_timeout(LEASE_S)
            .wait_time_seconds(0)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await?;
        let Some(message) = answer.messages.unwrap_or_default().into_iter().next() else {
            return Ok(None);
        };
        let receipt = message.receipt_handle.ok_or("the message has no receipt handle")?;
        let body = message.body.unwrap_or_default();
        let key = key(serde_json::from_str::<Reference<'_>>(&body)?.id);
        if self.claim(key.clone(), queue, &receipt).await? {
            return Ok(Some(Held { key, url, queue: queue.to_owned(), receipt }));
        }
        // As the engine: the message has overtaken its put.
        let hide = self.clients.sqs.change_message_visibility().queue_url(url).receipt_handle(receipt);
        hide.visibility_timeout(1).send().await?;
        Ok(None)
    }

    async fn ack(&self, held: Held) -> Outcome<()> {
        self.complete(held.key).await?;
        let (deleted, counted) = join(self.delete(&held.url, &held.receipt), self.count(&held.queue)).await;
        deleted.and(counted)
    }
}

fn key(id: &str) -> Item {
    Item::from([("pk".to_owned(), s(format!("JOB#{id}"))), ("sk".to_owned(), s("J"))])
}

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
