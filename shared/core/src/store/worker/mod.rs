pub(super) mod attributes;

use std::collections::HashMap;

use super::dynamo::attributes::{Item, PK, get_n, take_s};
use super::dynamo::update_item::UpdateItem;
use super::dynamo::written::Written;
use super::{Store, keys};
use attributes as worker;
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
        let update =
            remember(beat.id, beat.now_ms).set(worker::HEARTBEAT_AT, beat.now_ms).set(worker::JOBS, beat.active_jobs);
        let item = match update.returning_new(self).await? {
            Written::Done(item) | Written::Refused(item) => item,
        };
        Ok(item.and_then(|mut item| take_s(&mut item, worker::DIRECTIVE)))
    }

    /// When each of these workers last sent a heartbeat, ms since the Unix epoch: one call. Those that have sent none for a day
    /// are left out.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn heartbeats(&self, ids: &[&str]) -> Result<HashMap<String, i64>> {
        let items = self.batch_get(ids.iter().map(|id| keys::worker(id)).collect()).await?;
        let beat = |mut item: Item| {
            let at = get_n(&item, worker::HEARTBEAT_AT)?;
            let id = take_s(&mut item, PK)?.strip_prefix(keys::WORKER_PREFIX)?.to_owned();
            Some((id, at))
        };
        Ok(items.into_iter().filter_map(beat).collect())
    }

    /// Leaves a directive (`running`, `quiet` or `terminate`) for a worker; its next heartbeat answers it.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn direct_worker(&self, id: &str, directive: &str, now_ms: i64) -> Result<()> {
        remember(id, now_ms).set(worker::DIRECTIVE, directive).update(self).await?;
        Ok(())
    }
}

/// An update of a worker, which is there from then on, for a day.
fn remember(id: &str, now_ms: i64) -> UpdateItem {
    UpdateItem::of(keys::worker(id))
        .set(worker::TTL, now_ms / 1_000 + WORKER_TTL_S)
        .set(worker::CREATED_AT, worker::CREATED_AT.or(now_ms))
}
