//! Jobs that are parked under a rate limit: a partition of the due index each limit, by when their messages may be sent.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnValuesOnConditionCheckFailure, Select};
use futures::FutureExt;

use super::due::entry;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{get_n, n, s, take_s};
use crate::store::{DueEntry, Store, keys, table};
use ojs_model::error::Result;

/// A parked job that has not started this long after its message was sent for the first time may get another one, ms.
pub const SENT_MS: i64 = 60_000;

/// How the attempt to reserve a parked job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// This call has it.
    Done,
    /// Another call has it.
    ByAnother,
    /// It is parked no longer.
    Left,
}

impl Store {
    /// The first `limit` jobs parked under `key` whose messages may be sent at `now_ms`, longest waiting first. The index
    /// lags.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn parked(&self, key: &str, now_ms: i64, limit: usize) -> Result<Vec<DueEntry>> {
        let limit_items = i32::try_from(limit).unwrap_or(i32::MAX);
        let (items, _) = self.due_page(keys::parked(key), now_ms, None, limit_items).await?;
        let entries = items.into_iter().filter_map(|mut item| entry(take_s(&mut item, "pk")?, item));
        Ok(entries
            .map(|mut parked| {
                parked.job.limit = Some(key.to_owned());
                parked
            })
            .collect())
    }

    /// How many jobs are parked under `key`, `most` at most; with `sent` only those whose messages may be sent again between
    /// these two times, ms since the Unix epoch, the first one excluded.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn count_parked(&self, key: &str, sent: Option<(i64, i64)>, most: usize) -> Result<usize> {
        let mut query = self.client.query().table_name(&self.table).index_name(table::DUE_INDEX);
        query = match sent {
            Some((after, until)) => query
                .key_condition_expression("dup = :partition AND dus BETWEEN :after AND :until")
                .expression_attribute_values(":after", n(after + 1))
                .expression_attribute_values(":until", n(until)),
            None => query.key_condition_expression("dup = :partition"),
        };
        let answer = query
            .expression_attribute_values(":partition", s(keys::parked(key)))
            .select(Select::Count)
            .limit(i32::try_from(most).unwrap_or(i32::MAX))
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
        Ok(usize::try_from(answer.count).unwrap_or(0))
    }

    /// Reserves a parked job for the caller, which is to send its message: for a minute from `at_ms` on no other call does, and
    /// each time for twice as long, for its message may wait behind others. The job stays parked until it starts or ends, so
    /// that a caller that dies loses nothing.
    ///
    /// # Errors
    /// The AWS error; it may be reserved.
    pub async fn reserve_parked(&self, key: &str, entry: &DueEntry, at_ms: i64) -> Result<Reserved> {
        let update = self
            .update(&entry.job.id)
            .update_expression(
                "SET r = r + :one, dus = if_not_exists(pg, :gap) + :at, \
                 pg = if_not_exists(pg, :gap) + if_not_exists(pg, :gap)",
            )
            .expression_attribute_values(":gap", n(SENT_MS));
        self.move_parked(update, key, entry, at_ms).await
    }

    /// Moves a parked job that cannot start behind those that may be sent before `at_ms`.
    ///
    /// # Errors
    /// The AWS error; it may be moved.
    pub async fn pass_over_parked(&self, key: &str, entry: &DueEntry, at_ms: i64) -> Result<Reserved> {
        let update = self.update(&entry.job.id).update_expression("SET r = r + :one, dus = :at");
        self.move_parked(update, key, entry, at_ms).await
    }

    async fn move_parked(
        &self,
        update: UpdateItemFluentBuilder,
        key: &str,
        entry: &DueEntry,
        at_ms: i64,
    ) -> Result<Reserved> {
        let sent = update
            .condition_expression("dup = :partition AND dus = :seen")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":at", n(at_ms))
            .expression_attribute_values(":seen", n(entry.due_at))
            .expression_attribute_values(":partition", s(keys::parked(key)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .boxed()
            .await;
        let failure = match sent {
            Ok(_) => return Ok(Reserved::Done),
            Err(failure) => failure,
        };
        let Some(UpdateItemError::ConditionalCheckFailedException(refused)) = failure.as_service_error() else {
            return Err(service_error(Service::DynamoDb, "UpdateItem", &failure));
        };
        // An SDK retry of an update that took effect sees its own result.
        if let Some(item) = &refused.item
            && let (Some(send_at), Some(gap)) = (get_n(item, "dus"), get_n(item, "pg"))
            && send_at == at_ms + gap / 2
        {
            return Ok(Reserved::Done);
        }
        let partition = refused.item.as_ref().and_then(|item| item.get("dup")?.as_s().ok());
        Ok(if partition == Some(&keys::parked(key)) { Reserved::ByAnother } else { Reserved::Left })
    }
}
