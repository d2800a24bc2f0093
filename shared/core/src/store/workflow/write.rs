use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use futures::FutureExt;

use super::definition::definition_items;
use super::item::{open_shards, workflow_of};
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::{Item, b, get_u64, n, s, take_s};
use crate::store::dynamo::transact::{Reason, Transacted};
use crate::store::idempotency::{Record, Ticket, record_of};
use crate::store::{Store, keys, table};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::workflow::{Definition, Workflow};

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
            main.insert("op".to_owned(), open_shards(workflow.shards));
        }
        let put = |item: Item| {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(pk)");
            Ok::<_, Error>(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
        };
        let mut actions = vec![put(main)?];
        for part in definition_items(workflow, definition)? {
            actions.push(put(part)?);
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
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("v = :old")
            .expression_attribute_values(":old", n(old.version))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let failure = match put.send().boxed().await {
            Ok(_) => return Ok(WorkflowWritten::Done),
            Err(failure) => failure,
        };
        if let SdkError::ServiceError(e) = &failure
            && let PutItemError::ConditionalCheckFailedException(refused) = e.err()
        {
            return Ok(match refused.item.clone() {
                Some(item) if get_u64(&item, "nc") == Some(nonce) => WorkflowWritten::Done,
                Some(item) => WorkflowWritten::Refused(Box::new(workflow_of(item)?)),
                None => WorkflowWritten::Missing,
            });
        }
        Err(service_error(Service::DynamoDb, "PutItem", &failure))
    }

    /// Ends a running group or batch (`state` at `at_ms`): one conditional update. Does nothing the second time, or when it
    /// has been called off.
    ///
    /// # Errors
    /// The AWS error; it may have ended.
    pub async fn end_workflow(&self, workflow: &Workflow, state: &str, at_ms: i64) -> Result<()> {
        self.update_workflow(
            &workflow.id,
            "SET #s = :state, en = :at, #ttl = :ttl, v = v + :one REMOVE cr",
            "#s = :running",
            &[
                (":state", s(state)),
                (":running", s("running")),
                (":at", n(at_ms)),
                (":ttl", n(self.workflow_ttl_s(at_ms, workflow.parent.is_some()))),
                (":one", n(1)),
            ],
        )
        .await
    }

    /// Notes that the callbacks of a batch have been made.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn note_called_back(&self, id: &JobId) -> Result<()> {
        self.update_workflow(id, "SET cd = :one", "attribute_exists(pk)", &[(":one", n(1))]).await
    }

    /// Notes that the kept results of a workflow that has ended have a time to live.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub(in crate::store) async fn note_results_expire(&self, id: &JobId) -> Result<()> {
        self.update_workflow(id, "SET rx = :one", "attribute_exists(pk)", &[(":one", n(1))]).await
    }

    /// Notes that a callback that an outer workflow waits for has failed.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn note_callback_failed(&self, id: &JobId) -> Result<()> {
        self.update_workflow(id, "SET cf = :one", "attribute_exists(pk)", &[(":one", n(1))]).await
    }

    /// Has a tick look after a workflow at `due_at` (ms since the Unix epoch), unless one does earlier.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn watch_workflow(&self, id: &JobId, due_at: i64, now_ms: i64) -> Result<()> {
        let partition = keys::unfinished(keys::shard(id, self.shards));
        self.update_workflow(
            id,
            "SET dup = :partition, dus = :due, v = v + :one",
            // One that is due may be under way, and not see what is to come.
            "attribute_exists(pk) AND (attribute_not_exists(dus) OR dus > :due OR dus <= :now)",
            &[(":partition", s(partition)), (":due", n(due_at)), (":now", n(now_ms)), (":one", n(1))],
        )
        .await
    }

    /// What a tick was to look after at `due_at` is done.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub async fn leave_workflow(&self, id: &JobId, due_at: i64) -> Result<()> {
        self.update_workflow(
            id,
            "SET v = v + :one REMOVE dup, dus, cr",
            "dus = :due",
            &[(":due", n(due_at)), (":one", n(1))],
        )
        .await
    }

    /// One conditional update of how far a workflow is; one whose condition does not hold is left as it is.
    async fn update_workflow(
        &self,
        id: &JobId,
        expression: &str,
        condition: &str,
        values: &[(&str, aws_sdk_dynamodb::types::AttributeValue)],
    ) -> Result<()> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::workflow(id)))
            .update_expression(expression)
            .condition_expression(condition);
        for (name, value) in values {
            update = update.expression_attribute_values(*name, value.clone());
        }
        for (name, of) in [("#s", "s"), ("#ttl", "ttl")] {
            if expression.contains(name) || condition.contains(name) {
                update = update.expression_attribute_names(name, of);
            }
        }
        match update.send().boxed().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
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
        let mut query = self.client.query().table_name(&self.table).index_name(table::LISTING_INDEX);
        query = match after {
            Some(id) => query
                .key_condition_expression("lp = :partition AND lo < :after")
                // Its id is the server's, and has the time at which it was made.
                .expression_attribute_values(":after", b(keys::listing_sort(id.made_at_ms(), id))),
            None => query.key_condition_expression("lp = :partition"),
        };
        let answer = query
            .expression_attribute_values(":partition", s(keys::workflows(shard)))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
        let ids = answer.items.unwrap_or_default().into_iter();
        Ok(ids.filter_map(|mut item| keys::workflow_of_pk(&take_s(&mut item, "pk")?)).collect())
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
