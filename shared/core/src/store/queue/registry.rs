use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{get_n, n, s, take_s};
use crate::store::{Store, keys};
use futures::FutureExt;
use ojs_model::error::Result;

/// A queue that has been used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueEntry {
    /// Its name.
    pub name: String,
    /// When it was first used, ms since the Unix epoch.
    pub created_at: i64,
    /// When it was paused, ms since the Unix epoch; `None` while it is not.
    pub paused_at: Option<i64>,
}

impl Store {
    /// Notes a queue in the registry unless it is there: a read, and a put the first time.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn register_queue(&self, name: &str, now_ms: i64) -> Result<()> {
        let known = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(keys::queue(name)))
            .projection_expression("pk")
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "GetItem", &e))?;
        if known.item.is_some() {
            return Ok(());
        }
        let mut item = keys::queue(name);
        item.insert("ca".to_owned(), n(now_ms));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .boxed()
            .await;
        match put {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(service_error(Service::DynamoDb, "PutItem", &e)),
        }
    }

    /// A page of at most `limit` queues by name, after `after`; whether more follow.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_queues(&self, after: Option<&str>, limit: i32) -> Result<(Vec<QueueEntry>, bool)> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", s(keys::QUEUES_PK))
            .set_exclusive_start_key(after.map(keys::queue))
            .limit(limit)
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
        let more = answer.last_evaluated_key.is_some();
        let queues = answer.items.unwrap_or_default().into_iter().filter_map(|mut item| {
            Some(QueueEntry {
                created_at: get_n(&item, "ca")?,
                paused_at: get_n(&item, "pa"),
                name: take_s(&mut item, "sk")?,
            })
        });
        Ok((queues.collect(), more))
    }
}
