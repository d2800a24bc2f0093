use super::attributes as workflow;
use super::definition::definition_items;
use super::item::{open_shards, workflow_of};
use crate::store::dynamo::attributes::{Attribute, PK, b, get_u64, take_s};
use crate::store::dynamo::expression::{any, item_exists, item_is_absent};
use crate::store::dynamo::put_item::PutItem;
use crate::store::dynamo::query::Query;
use crate::store::dynamo::transact::{Reason, Transacted};
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::dynamo::written::Written;
use crate::store::idempotency::{Record, Ticket, record_of};
use crate::store::{Store, keys, table};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::workflow::{Definition, Workflow, WorkflowState};

/// How the put of a new workflow ended.
#[derive(Debug)]
pub enum WorkflowPut {
    /// It is there.
    Done,
    /// There is one with its id.
    Taken,
    /// Its idempotency key has been used.
    Keyed(Box<Record>),
}

/// How a write of a workflow ended.
#[derive(Debug)]
pub enum WorkflowWritten {
    /// Written.
    Done,
    /// It has changed since it was read: as it is now.
    Refused(Box<Workflow>),
    /// It is not there.
    Missing,
}

impl Store {
    /// Stores a new workflow and its definition: one transaction. `false` when there is one with its id.
    ///
    /// # Errors
    /// The AWS error; when it is unknown whether it took effect, one read tells.
    pub async fn put_workflow(&self, workflow: &Workflow, definition: &Definition, nonce: u64) -> Result<bool> {
        let put = self.put_workflow_keyed(workflow, definition, nonce, None).await?;
        Ok(matches!(put, WorkflowPut::Done))
    }

    /// The same under an idempotency key, whose record (with the request's fingerprint) is a part of the transaction.
    ///
    /// # Errors
    /// As [`Self::put_workflow`].
    pub async fn put_workflow_keyed(
        &self,
        workflow: &Workflow,
        definition: &Definition,
        nonce: u64,
        key: Option<(&Ticket, [u8; 32])>,
    ) -> Result<WorkflowPut> {
        let mut main = self.workflow_item(workflow, nonce);
        if workflow.shards > 0 {
            main.insert(workflow::OPEN_SHARDS.name().to_owned(), open_shards(workflow.shards));
        }
        let mut actions = vec![PutItem::new(main).when(item_is_absent()).put_action(self)?];
        for part in definition_items(workflow, definition)? {
            actions.push(PutItem::new(part).when(item_is_absent()).put_action(self)?);
        }
        if let Some((ticket, fingerprint)) = key {
            actions.push(self.transact_begin(ticket, fingerprint, workflow.id.as_str(), workflow.created_at)?);
        }
        match self.transact(actions, format!("workflow-{nonce:016x}")).await {
            Ok(Transacted::Done) => Ok(WorkflowPut::Done),
            // Of another write under way it is not known how it will end.
            Ok(Transacted::Refused(mut reasons))
                if reasons.iter().any(|reason| matches!(reason, Reason::Condition(_))) =>
            {
                match reasons.pop() {
                    Some(Reason::Condition(Some(record))) if key.is_some() => {
                        Ok(WorkflowPut::Keyed(Box::new(record_of(record)?)))
                    }
                    _ => Ok(WorkflowPut::Taken),
                }
            }
            Ok(Transacted::Refused(_)) => {
                Err(Error::new(ErrorCode::BackendUnavailable, "Another write of the workflow is under way; try again."))
            }
            // The last of the SDK's tries may have been refused and an earlier one not.
            Err(error) => match self.get_workflow(&workflow.id).await {
                Ok(Some(_)) => Ok(WorkflowPut::Done),
                _ => Err(error),
            },
        }
    }

    /// Reads how far a workflow is, strongly consistent.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_workflow(&self, id: &JobId) -> Result<Option<Workflow>> {
        self.get_item(keys::workflow(id)).await?.map(workflow_of).transpose()
    }

    /// Writes what was computed from a workflow that was read, unless it has changed since. `nonce` marks this call for the
    /// SDK's retries. Not for a group or batch whose shards are open: those are noted beside it.
    ///
    /// # Errors
    /// The AWS error; it may be written.
    pub async fn replace_workflow(&self, old: &Workflow, new: &Workflow, nonce: u64) -> Result<WorkflowWritten> {
        let mut new = new.clone();
        new.version = old.version + 1;
        let item = self.workflow_item(&new, nonce);
        let put = PutItem::new(item).when(workflow::VERSION.is(old.version));
        Ok(match put.showing_refused().put(self).await? {
            Written::Done(_) => WorkflowWritten::Done,
            Written::Refused(Some(item)) if get_u64(&item, workflow::NONCE) == Some(nonce) => WorkflowWritten::Done,
            Written::Refused(Some(item)) => WorkflowWritten::Refused(Box::new(workflow_of(item)?)),
            Written::Refused(None) => WorkflowWritten::Missing,
        })
    }

    /// Ends a running group or batch (`state` at `at_ms`): one conditional update. Does nothing the second time, or when it
    /// has been cancelled.
    ///
    /// # Errors
    /// The AWS error; it may have ended.
    pub async fn end_workflow(&self, workflow: &Workflow, state: &str, at_ms: i64) -> Result<()> {
        let ttl_s = self.workflow_ttl_s(at_ms, workflow.parent.is_some());
        UpdateItem::of(keys::workflow(&workflow.id))
            .when(workflow::STATE.is(WorkflowState::Running.as_str()))
            .set(workflow::STATE, state)
            .set(workflow::ENDED_AT, at_ms)
            .set(workflow::TTL, ttl_s)
            .set(workflow::VERSION, workflow::VERSION.plus(1))
            .remove([workflow::CREATING])
            .update(self)
            .await?;
        Ok(())
    }

    /// Notes that the callbacks of a batch have been made.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn note_called_back(&self, id: &JobId) -> Result<()> {
        self.mark_workflow(id, workflow::CALLED_BACK).await
    }

    /// Notes that the kept results of a workflow that has ended have a time to live.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub(in crate::store) async fn note_results_expire(&self, id: &JobId) -> Result<()> {
        self.mark_workflow(id, workflow::RESULTS_EXPIRE).await
    }

    /// Notes that a callback that an outer workflow waits for has failed.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn note_callback_failed(&self, id: &JobId) -> Result<()> {
        self.mark_workflow(id, workflow::CALLBACK_FAILED).await
    }

    /// Has a tick resume a workflow at `due_at` (ms since the Unix epoch), unless one does earlier.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn watch_workflow(&self, id: &JobId, due_at: i64, now_ms: i64) -> Result<()> {
        let partition = keys::unfinished(keys::shard(id, self.shards));
        // One that is due may be under way, and not see what is to come.
        let no_earlier =
            any([workflow::DUE_SORT.is_absent(), workflow::DUE_SORT.above(due_at), workflow::DUE_SORT.at_most(now_ms)]);
        UpdateItem::of(keys::workflow(id))
            .when(item_exists().and(no_earlier))
            .set(workflow::DUE_PARTITION, partition)
            .set(workflow::DUE_SORT, due_at)
            .set(workflow::VERSION, workflow::VERSION.plus(1))
            .update(self)
            .await?;
        Ok(())
    }

    /// What a tick was to resume at `due_at` is done.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn leave_workflow(&self, id: &JobId, due_at: i64) -> Result<()> {
        UpdateItem::of(keys::workflow(id))
            .when(workflow::DUE_SORT.is(due_at))
            .set(workflow::VERSION, workflow::VERSION.plus(1))
            .remove([workflow::DUE_PARTITION, workflow::DUE_SORT, workflow::CREATING])
            .update(self)
            .await?;
        Ok(())
    }

    /// Sets a mark on a workflow, if it is there.
    async fn mark_workflow(&self, id: &JobId, mark: Attribute) -> Result<()> {
        UpdateItem::of(keys::workflow(id)).when(item_exists()).set(mark, 1).update(self).await?;
        Ok(())
    }

    /// The next `limit` workflows after `after`, newest first: one query per shard of the listing index.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_workflows(&self, after: Option<&JobId>, limit: usize) -> Result<Vec<JobId>> {
        let shards = (0..self.shards).map(|shard| self.list_workflow_shard(shard, after, limit));
        let mut ids: Vec<_> = futures::future::try_join_all(shards).await?.into_iter().flatten().collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(limit);
        Ok(ids)
    }

    async fn list_workflow_shard(&self, shard: u32, after: Option<&JobId>, limit: usize) -> Result<Vec<JobId>> {
        // Its id is the server's, and has the time at which it was made.
        let older = after.map(|id| workflow::LISTING_SORT.below(b(keys::listing_sort(id.made_at_ms(), id))));
        let listed = workflow::LISTING_PARTITION.is(keys::workflows(shard)).and_some(older);
        let page = Query::of(listed, limit).newest_first().in_index(table::LISTING_INDEX, self).await?;
        let ids = page.items.into_iter();
        Ok(ids.filter_map(|mut item| keys::workflow_of_pk(&take_s(&mut item, PK)?)).collect())
    }

    /// Reads how far workflows are, strongly consistent, in the order of `ids`; missing ones are left out.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_workflows(&self, ids: &[JobId]) -> Result<Vec<Workflow>> {
        let items = self.batch_get(ids.iter().map(keys::workflow).collect()).await?;
        let mut found = items.into_iter().map(workflow_of).collect::<Result<Vec<_>>>()?;
        found.sort_by_key(|workflow| ids.iter().position(|id| *id == workflow.id));
        Ok(found)
    }
}
