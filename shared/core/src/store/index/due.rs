use crate::store::dynamo::attributes::{Item, PK, get_n, take_s};
use crate::store::dynamo::query::Query;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::job::attributes as job;
use crate::store::{Store, keys, table};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::message::JobRef;

/// A job in the due index: all that is needed to send its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueEntry {
    /// The job.
    pub job: JobRef,
    /// When it is due, ms since the Unix epoch.
    pub due_at: i64,
}

/// A page of the due index.
#[derive(Debug)]
pub struct DuePage {
    /// Jobs, earliest first.
    pub jobs: Vec<DueEntry>,
    /// Where the next page starts, if there may be one.
    pub next: Option<Place>,
}

/// A page of the batches and workflows that a tick may have to finish, and of the rate limits whose parked jobs it is to
/// look at.
#[derive(Debug)]
pub struct UnfinishedPage {
    /// Batches, and when a tick finishes them, ms since the Unix epoch; earliest first.
    pub batches: Vec<(JobId, i64)>,
    /// Workflows, and when a tick goes on with them, ms since the Unix epoch; earliest first.
    pub workflows: Vec<(JobId, i64)>,
    /// Keys of rate limits, and when a tick looks at their parked jobs, ms since the Unix epoch; earliest first.
    pub limits: Vec<(String, i64)>,
    /// Where the next page starts, if there may be one.
    pub next: Option<Place>,
}

/// A place in an index, after which the next page starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Place(pub(in crate::store) keys::Key);

impl Store {
    /// Shards of the due index.
    #[must_use]
    pub fn due_shards(&self) -> u32 {
        self.shards
    }

    /// The first `limit` jobs of one shard after `after` that are due at `until_ms` or before.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn due_before(&self, shard: u32, until_ms: i64, after: Option<Place>, limit: i32) -> Result<DuePage> {
        let (items, next) = self.due_page(keys::due(shard), until_ms, after, limit).await?;
        let jobs = items.into_iter().filter_map(|mut item| entry(take_s(&mut item, PK)?, item)).collect();
        Ok(DuePage { jobs, next })
    }

    /// The first `limit` batches, workflows and rate limits of one shard after `after` whose time has come at `until_ms`.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn unfinished_before(
        &self,
        shard: u32,
        until_ms: i64,
        after: Option<Place>,
        limit: i32,
    ) -> Result<UnfinishedPage> {
        let (items, next) = self.due_page(keys::unfinished(shard), until_ms, after, limit).await?;
        let mut page = UnfinishedPage { batches: Vec::new(), workflows: Vec::new(), limits: Vec::new(), next };
        for mut item in items {
            let (Some(pk), Some(due)) = (take_s(&mut item, PK), get_n(&item, job::DUE_SORT)) else { continue };
            if let Some(batch) = keys::batch_of_pk(&pk) {
                page.batches.push((batch, due));
            } else if let Some(workflow) = keys::workflow_of_pk(&pk) {
                page.workflows.push((workflow, due));
            } else if let Some(limit) = keys::limit_of_pk(&pk) {
                page.limits.push((limit.to_owned(), due));
            }
        }
        Ok(page)
    }

    /// What is due in one partition of the due index, earliest first.
    pub(in crate::store) async fn due_page(
        &self,
        partition: String,
        until_ms: i64,
        after: Option<Place>,
        limit: i32,
    ) -> Result<(Vec<Item>, Option<Place>)> {
        let due = job::DUE_PARTITION.is(partition).and(job::DUE_SORT.at_most(until_ms));
        let page = Query::of(due, limit).after(after.map(|Place(key)| key)).in_index(table::DUE_INDEX, self).await?;
        Ok((page.items, page.next.map(Place)))
    }

    /// Takes a job out of the due index once its message is sent; a job that has moved on is left as it is.
    ///
    /// # Errors
    /// The AWS error; the job may have been taken out.
    pub async fn leave_due_index(&self, entry: &DueEntry) -> Result<()> {
        UpdateItem::of(keys::job(&entry.job.id))
            .when(job::DUE_SORT.is(entry.due_at))
            .set(job::REVISION, job::REVISION.plus(1))
            .remove([job::DUE_PARTITION, job::DUE_SORT])
            .update(self)
            .await?;
        Ok(())
    }
}

pub(in crate::store) fn entry(pk: String, mut item: Item) -> Option<DueEntry> {
    let due_at = get_n(&item, job::DUE_SORT)?;
    let job = JobRef {
        id: keys::job_of_pk(&pk)?,
        job_type: take_s(&mut item, job::JOB_TYPE)?,
        queue: take_s(&mut item, job::QUEUE)?,
        priority: get_n(&item, job::PRIORITY).unwrap_or(0),
        group: take_s(&mut item, job::GROUP),
        due_at: Some(due_at),
        limit: None,
        wakes: None,
    };
    Some(DueEntry { job, due_at })
}
