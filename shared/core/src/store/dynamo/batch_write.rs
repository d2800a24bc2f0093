use futures::FutureExt;
use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use futures::stream::{self, StreamExt};

use super::delete_item::DeleteItem;
use super::unconditional::{NewPut, arrives_late, once};
use crate::aws::{Service, service_error};
use crate::store::job::attributes as job;
use crate::store::{Store, keys};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::Job;

/// DynamoDB's limit for one call.
const WRITES_PER_CALL: usize = 25;
/// Calls in a row that may leave writes over before we give up.
const MAX_ROUNDS: u32 = 6;
/// Calls under way at a time.
const CONCURRENCY: usize = 8;

impl Store {
    /// Writes new jobs whose ids are of our own making, unconditionally, 25 a call.
    ///
    /// # Errors
    /// The AWS error, or `rate_limited` when DynamoDB keeps leaving writes over; some may be written.
    pub async fn put_new_jobs(&self, jobs: &[&Job]) -> Result<NewPut> {
        let mut writes = Vec::with_capacity(jobs.len());
        for job in jobs {
            let put = PutRequest::builder().set_item(Some(self.item_of(job)?)).build().map_err(Error::internal)?;
            writes.push(WriteRequest::builder().put_request(put).build());
        }
        let calls: Vec<_> = writes.chunks(WRITES_PER_CALL).map(|chunk| self.write_chunk(chunk.to_vec())).collect();
        let written: Vec<Result<NewPut>> = stream::iter(calls).buffer_unordered(CONCURRENCY).collect().await;
        let mut unsettled = None;
        for written in written {
            if let NewPut::Unsettled(error) = written? {
                unsettled = Some(error);
            }
        }
        Ok(unsettled.map_or(NewPut::Done, NewPut::Unsettled))
    }

    /// Deletes a job if it came with this batch, and no worker has claimed it.
    ///
    /// # Errors
    /// The AWS error; it may be deleted.
    pub async fn delete_job_of(&self, id: &JobId, batch: &JobId) -> Result<()> {
        DeleteItem::of(keys::job(id)).when(job::BATCH.is(batch)).delete(self).await?;
        Ok(())
    }

    async fn write_chunk(&self, mut left: Vec<WriteRequest>) -> Result<NewPut> {
        let mut refusals = 0;
        for round in 0..MAX_ROUNDS {
            if round > 0 {
                tokio::time::sleep(Duration::from_millis(25 << round)).await;
            }
            let sent = self
                .client
                .batch_write_item()
                .request_items(&self.table, left.clone())
                .customize()
                .config_override(once())
                .send()
                .boxed()
                .await;
            match sent {
                Ok(answer) => {
                    left = answer.unprocessed_items.into_iter().flat_map(HashMap::into_values).flatten().collect();
                    if left.is_empty() {
                        return Ok(NewPut::Done);
                    }
                }
                Err(e) => {
                    let error = service_error(Service::DynamoDb, "BatchWriteItem", &e);
                    if arrives_late(&e) {
                        return Ok(NewPut::Unsettled(error));
                    }
                    // Answered, so that nothing of this call is under way any more.
                    refusals += 1;
                    let passes = matches!(error.code, ErrorCode::RateLimited | ErrorCode::BackendUnavailable);
                    if !passes || refusals >= self.attempts {
                        return Err(error);
                    }
                }
            }
        }
        Err(Error::new(ErrorCode::RateLimited, "DynamoDB throttles BatchWriteItem; try again shortly."))
    }
}
