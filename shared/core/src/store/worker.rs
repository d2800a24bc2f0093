use std::collections::HashMap;

use aws_sdk_dynamodb::types::ReturnValue;
use futures::FutureExt;

use super::dynamo::attributes::{Item, get_n, n, s, take_s};
use super::{Store, keys};
use crate::aws::{Service, service_error};
use ojs_model::error::Result;

/// How long a silent worker is remembered, s.
const WORKER_TTL_S: i64 = 86_400;

/// What a heartbeat says of the worker itself.
#[derive(Debug, Clone)]
pub struct WorkerBeat<'a> {
    /// The worker's id.
    pub id: &'a str,
    /// How many jobs it says it runs.
    pub active_jobs: usize,
    /// ms since the Unix epoch.
    pub now_ms: i64,
}

impl Store {
    /// Notes that a worker lives: one update, which answers the directive an operator left for it.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn beat(&self, beat: WorkerBeat<'_>) -> Result<Option<String>> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::worker(beat.id)))
            .update_expression("SET hb = :now, jobs = :jobs, #ttl = :ttl, ca = if_not_exists(ca, :now)")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", n(beat.now_ms))
            .expression_attribute_values(":jobs", n(beat.active_jobs))
            .expression_attribute_values(":ttl", n(beat.now_ms / 1_000 + WORKER_TTL_S))
            .return_values(ReturnValue::AllNew)
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "UpdateItem", &e))?;
        Ok(answer.attributes.and_then(|mut item| take_s(&mut item, "directive")))
    }

    /// When each of these workers last sent a heartbeat, ms since the Unix epoch: one call. Those that have sent none for a day
    /// are left out.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn heartbeats(&self, ids: &[&str]) -> Result<HashMap<String, i64>> {
        let items = self.batch_get(ids.iter().map(|id| keys::worker(id)).collect()).await?;
        let beat = |mut item: Item| {
            let at = get_n(&item, "hb")?;
            let id = take_s(&mut item, "pk")?.strip_prefix(keys::WORKER_PREFIX)?.to_owned();
            Some((id, at))
        };
        Ok(items.into_iter().filter_map(beat).collect())
    }

    /// Leaves a directive (`running`, `quiet` or `terminate`) for a worker; its next heartbeat answers it.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn direct_worker(&self, id: &str, directive: &str, now_ms: i64) -> Result<()> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::worker(id)))
            .update_expression("SET directive = :directive, #ttl = :ttl, ca = if_not_exists(ca, :now)")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":directive", s(directive))
            .expression_attribute_values(":ttl", n(now_ms / 1_000 + WORKER_TTL_S))
            .expression_attribute_values(":now", n(now_ms))
            .send()
            .boxed()
            .await
            .map(|_| ())
            .map_err(|e| service_error(Service::DynamoDb, "UpdateItem", &e))
    }
}
