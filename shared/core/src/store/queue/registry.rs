use futures::FutureExt;

use super::registry_attributes as queue;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{PK, SK, get_n, n, take_s};
use crate::store::dynamo::expression::item_is_absent;
use crate::store::dynamo::put_item::PutItem;
use crate::store::dynamo::query::Query;
use crate::store::{Store, keys};
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
            .projection_expression(PK.name())
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "GetItem", &e))?;
        if known.item.is_some() {
            return Ok(());
        }
        let mut item = keys::queue(name);
        item.insert(queue::CREATED_AT.name().to_owned(), n(now_ms));
        PutItem::new(item).when(item_is_absent()).put(self).await?;
        Ok(())
    }

    /// A page of at most `limit` queues by name, after `after`; whether more follow.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_queues(&self, after: Option<&str>, limit: i32) -> Result<(Vec<QueueEntry>, bool)> {
        let page = Query::of(PK.is(keys::QUEUES_PK), limit).after(after.map(keys::queue)).in_table(self).await?;
        let more = page.next.is_some();
        let queues = page.items.into_iter().filter_map(|mut item| {
            Some(QueueEntry {
                created_at: get_n(&item, queue::CREATED_AT)?,
                paused_at: get_n(&item, queue::PAUSED_AT),
                name: take_s(&mut item, SK)?,
            })
        });
        Ok((queues.collect(), more))
    }
}
