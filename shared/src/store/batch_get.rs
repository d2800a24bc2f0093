use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use super::job_item::job_of;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use crate::error::{Error, ErrorCode, Result};
use crate::ids::JobId;
use crate::job::Job;

/// DynamoDB's limit for one call.
const KEYS_PER_CALL: usize = 100;
/// Calls in a row that may leave keys over before we give up.
const MAX_ROUNDS: u32 = 6;

impl Store {
    /// Reads jobs as stored, strongly consistent, in the order of `ids`; missing ones are left out.
    ///
    /// # Errors
    /// The AWS error, or `rate_limited` when DynamoDB keeps leaving keys over.
    pub async fn get_jobs(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        let mut found = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(KEYS_PER_CALL) {
            let mut wanted: Vec<_> = chunk.iter().map(keys::job).collect();
            for round in 0.. {
                if wanted.is_empty() {
                    break;
                }
                if round == MAX_ROUNDS {
                    return Err(Error::new(
                        ErrorCode::RateLimited,
                        "DynamoDB throttles BatchGetItem; try again shortly.",
                    ));
                }
                if round > 0 {
                    tokio::time::sleep(Duration::from_millis(25 << round)).await;
                }
                let keys = KeysAndAttributes::builder()
                    .set_keys(Some(std::mem::take(&mut wanted)))
                    .consistent_read(true)
                    .build()
                    .map_err(Error::internal)?;
                let answer = self
                    .client
                    .batch_get_item()
                    .request_items(&self.table, keys)
                    .send()
                    .await
                    .map_err(|e| service_error(Service::DynamoDb, "BatchGetItem", &e))?;
                for item in answer.responses.into_iter().flat_map(HashMap::into_values).flatten() {
                    let job = job_of(item)?;
                    found.insert(job.id.clone(), job);
                }
                wanted =
                    answer.unprocessed_keys.into_iter().flat_map(HashMap::into_values).flat_map(|k| k.keys).collect();
            }
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }
}
