use super::attr::{get_n, n, s, take_s};
use super::{Store, keys, table};
use crate::aws::{Service, service_error};
use crate::error::Result;
use crate::transport::JobRef;

/// A job in the due index: all that is needed to send its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueEntry {
    /// The job.
    pub job: JobRef,
    /// When it is due, ms since the Unix epoch.
    pub due_at: i64,
}

/// A place in an index, after which the next page starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Place(pub(super) keys::Key);

impl Store {
    /// Shards of the due index.
    #[must_use]
    pub fn due_shards(&self) -> u32 {
        self.shards
    }

    /// The first `limit` jobs of one shard after `after` that are due at `until_ms` or before, earliest first; and where the
    /// next page starts, if there may be one.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn due_before(
        &self,
        shard: u32,
        until_ms: i64,
        after: Option<Place>,
        limit: i32,
    ) -> Result<(Vec<DueEntry>, Option<Place>)> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(table::DUE_INDEX)
            .key_condition_expression("dup = :partition AND dus <= :until")
            .expression_attribute_values(":partition", s(keys::due(shard)))
            .expression_attribute_values(":until", n(until_ms))
            .set_exclusive_start_key(after.map(|Place(key)| key))
            .limit(limit)
            .send()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
        let next = answer.last_evaluated_key.map(Place);
        let entries = answer.items.unwrap_or_default().into_iter().filter_map(|mut item| {
            let due_at = get_n(&item, "dus")?;
            let job = JobRef {
                id: keys::job_of_pk(&take_s(&mut item, "pk")?)?,
                job_type: take_s(&mut item, "ty")?,
                queue: take_s(&mut item, "q")?,
                priority: get_n(&item, "p").unwrap_or(0),
                group: take_s(&mut item, "gr"),
                due_at: Some(due_at),
                wakes: None,
            };
            Some(DueEntry { job, due_at })
        });
        Ok((entries.collect(), next))
    }

    /// Takes a job out of the due index once its message is sent; a job that has moved on is left as it is.
    ///
    /// # Errors
    /// The AWS error; the job may have been taken out.
    pub async fn leave_due_index(&self, entry: &DueEntry) -> Result<()> {
        let sent = self
            .update(&entry.job.id)
            .update_expression("SET r = r + :one REMOVE dup, dus")
            .condition_expression("dus = :due")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":due", n(entry.due_at))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
    }
}
