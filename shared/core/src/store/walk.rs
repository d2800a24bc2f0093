//! The one walk through the whole table: a `Scan`, page by page, of what has not ended.

use futures::FutureExt;

use super::batch::attributes as batch;
use super::dynamo::attributes::{Attribute, Item, PK, SK, get_n, has, s, take_s};
use super::dynamo::expression::Placeholders;
use super::job::attributes as job;
use super::lock::attributes as lock;
use super::lock::lock_of;
use super::workflow::attributes as workflow;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::State;
use ojs_model::job::unique::Lock;
use ojs_model::workflow::WorkflowState;

/// Most items that one call evaluates. Small items fill a call's 1 MB long after this many.
pub const MAX_WALK_PAGE: usize = 1_000;
/// What is read of an item. The read units are those of whole items all the same.
const PROJECTION: [Attribute; 16] = [
    PK,
    SK,
    job::STATE,
    job::ENQUEUED_AT,
    job::DUE_AT,
    job::EXPIRES_AT,
    job::LEASE_UNTIL,
    job::DEADLINE,
    job::DUE_PARTITION,
    job::DUE_SORT,
    workflow::CREATED_AT,
    lock::JOB,
    lock::STATES,
    lock::NONCE,
    lock::REVISION,
    lock::RESENT,
];

/// A page of what has not ended.
#[derive(Debug, Default)]
pub struct WalkPage {
    /// Jobs.
    pub jobs: Vec<LiveJob>,
    /// Running workflows, each with when it was made, ms since the Unix epoch.
    pub workflows: Vec<(JobId, i64)>,
    /// Batches, each with when a tick was to resume it, ms since the Unix epoch.
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
        let start = after.map(|(pk, sk)| Item::from([(PK.name().to_owned(), s(pk)), (SK.name().to_owned(), s(sk))]));
        let mut placeholders = Placeholders::default();
        let projection = PROJECTION.map(|attribute| placeholders.operand(attribute)).join(", ");
        // Every item that is over has a time to live. So have workers and answers that are remembered, which are of no interest
        // here.
        let kinds = [keys::JOB_SK, keys::WORKFLOW_SK, keys::BATCH_SK, keys::UNIQUE_SK];
        let live = placeholders.condition(job::TTL.is_absent().and(SK.is_one_of(kinds)));
        let answer = self
            .client
            .scan()
            .table_name(&self.table)
            .projection_expression(projection)
            .filter_expression(live)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.into_values())
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
        page.next = answer.last_evaluated_key.and_then(|mut key| Some((take_s(&mut key, PK)?, take_s(&mut key, SK)?)));
        Ok(page)
    }
}

impl WalkPage {
    /// An item that cannot be read is passed over: it must not stop the walk.
    fn sort_in(&mut self, mut item: Item) {
        let Some(pk) = take_s(&mut item, PK) else { return };
        if let Some(id) = keys::job_of_pk(&pk) {
            self.jobs.extend(live_job(id, &mut item));
        } else if let Some(id) = keys::workflow_of_pk(&pk) {
            let running =
                take_s(&mut item, workflow::STATE).is_some_and(|state| state == WorkflowState::Running.as_str());
            self.workflows.extend(get_n(&item, workflow::CREATED_AT).filter(|_| running).map(|at| (id, at)));
        } else if let Some(id) = keys::batch_of_pk(&pk) {
            self.batches.extend(get_n(&item, batch::DUE_SORT).map(|due| (id, due)));
        } else if let Some(key) = keys::unique_of_pk(&pk) {
            self.locks.extend(lock_of(item, key));
        }
    }
}

fn live_job(id: JobId, item: &mut Item) -> Option<LiveJob> {
    let state = take_s(item, job::STATE).and_then(|state| State::parse(&state)).filter(|state| !state.is_terminal())?;
    let ready_at = match state {
        State::Active => get_n(item, job::LEASE_UNTIL).into_iter().chain(get_n(item, job::DEADLINE)).min(),
        State::Scheduled | State::Retryable => get_n(item, job::DUE_AT),
        _ => get_n(item, job::ENQUEUED_AT),
    };
    Some(LiveJob {
        id,
        state,
        ready_at,
        expires_at: get_n(item, job::EXPIRES_AT),
        in_due_index: has(item, job::DUE_PARTITION),
    })
}
