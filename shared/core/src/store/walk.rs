//! The one walk through the whole table: a `Scan`, page by page, of what has not ended.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::FutureExt;

use super::dynamo::attributes::{Item, get_n, s, take_s};
use super::job::unique::lock_of;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::State;
use ojs_model::job::unique::Lock;

/// Most items that one call evaluates. Small items fill a call's 1 MB long after this many.
pub const MAX_WALK_PAGE: usize = 1_000;
/// What is read of an item. The read units are those of whole items all the same.
const PROJECTION: &str = "pk, sk, #s, ea, du, #ex, lu, xd, dup, dus, ca, j, st, nc, rv, sn";
/// Every item that is over has a time to live. So have workers and answers that are remembered, which are of no interest here.
const LIVE: &str = "attribute_not_exists(#ttl) AND sk IN (:job, :workflow, :batch, :lock)";

/// A page of what has not ended.
#[derive(Debug, Default)]
pub struct WalkPage {
    /// Jobs.
    pub jobs: Vec<LiveJob>,
    /// Running workflows, each with when it was made, ms since the Unix epoch.
    pub workflows: Vec<(JobId, i64)>,
    /// Batches, each with when a tick was to look after it, ms since the Unix epoch.
    pub batches: Vec<(JobId, i64)>,
    /// Locks of unique jobs.
    pub locks: Vec<Lock>,
    /// How many items were read, those that are over included.
    pub read: usize,
    /// Partition and sort key after which the next page starts; `None` after the last.
    pub next: Option<(String, String)>,
}

/// What the walk sees of a job. Eventually consistent: before anything is done the job is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveJob {
    /// The job.
    pub id: JobId,
    /// Its state as stored; never a terminal one.
    pub state: State,
    /// When it became what it is, or may be claimed: enqueued, due, or the end of its lease, ms since the Unix epoch.
    pub ready_at: Option<i64>,
    /// When it expires, ms since the Unix epoch.
    pub expires_at: Option<i64>,
    /// Whether it is in the due index.
    pub in_due_index: bool,
}

impl Store {
    /// The next page of the table after `after`: at most `limit` items (1 to [`MAX_WALK_PAGE`]) or 1 MB are read, and paid for.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn walk(&self, after: Option<&(String, String)>, limit: usize) -> Result<WalkPage> {
        let start = after.map(|(pk, sk)| {
            HashMap::from([
                ("pk".to_owned(), AttributeValue::S(pk.clone())),
                ("sk".to_owned(), AttributeValue::S(sk.clone())),
            ])
        });
        let answer = self
            .client
            .scan()
            .table_name(&self.table)
            .projection_expression(PROJECTION)
            .filter_expression(LIVE)
            .expression_attribute_names("#s", "s")
            .expression_attribute_names("#ex", "ex")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":job", s(keys::JOB_SK))
            .expression_attribute_values(":workflow", s(keys::WORKFLOW_SK))
            .expression_attribute_values(":batch", s(keys::BATCH_SK))
            .expression_attribute_values(":lock", s(keys::UNIQUE_SK))
            .set_exclusive_start_key(start)
            .limit(i32::try_from(limit.clamp(1, MAX_WALK_PAGE)).unwrap_or(1))
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "Scan", &e))?;
        let mut page = WalkPage { read: usize::try_from(answer.scanned_count).unwrap_or(0), ..WalkPage::default() };
        for item in answer.items.unwrap_or_default() {
            page.sort_in(item);
        }
        page.next =
            answer.last_evaluated_key.and_then(|mut key| Some((take_s(&mut key, "pk")?, take_s(&mut key, "sk")?)));
        Ok(page)
    }
}

impl WalkPage {
    /// An item that cannot be read is passed over: it must not stop the walk.
    fn sort_in(&mut self, mut item: Item) {
        let Some(pk) = take_s(&mut item, "pk") else { return };
        if let Some(id) = keys::job_of_pk(&pk) {
            self.jobs.extend(live_job(id, &mut item));
        } else if let Some(id) = keys::workflow_of_pk(&pk) {
            let running = take_s(&mut item, "s").is_some_and(|state| state == "running");
            self.workflows.extend(get_n(&item, "ca").filter(|_| running).map(|at| (id, at)));
        } else if let Some(id) = keys::batch_of_pk(&pk) {
            self.batches.extend(get_n(&item, "dus").map(|due| (id, due)));
        } else if let Some(key) = keys::unique_of_pk(&pk) {
            self.locks.extend(lock_of(item, key));
        }
    }
}

fn live_job(id: JobId, item: &mut Item) -> Option<LiveJob> {
    let state = take_s(item, "s").and_then(|state| State::parse(&state)).filter(|state| !state.is_terminal())?;
    let ready_at = match state {
        State::Active => get_n(item, "lu").into_iter().chain(get_n(item, "xd")).min(),
        State::Scheduled | State::Retryable => get_n(item, "du"),
        _ => get_n(item, "ea"),
    };
    Some(LiveJob { id, state, ready_at, expires_at: get_n(item, "ex"), in_due_index: item.contains_key("dup") })
}
