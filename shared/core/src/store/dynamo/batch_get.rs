use futures::FutureExt;
use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use super::attributes::Item;
use crate::aws::{Service, service_error};
use crate::store::job::read::job_of;
use crate::store::{Store, keys};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::Job;

/// DynamoDB's limit for one call.
const KEYS_PER_CALL: usize = 100;
/// Calls in a row that may leave keys over before we give up: an answer holds 16 MB, and DynamoDB may throttle in part.
const MAX_ROUNDS: u32 = 6;

impl Store {
    /// Reads jobs as stored, strongly consistent, in the order of `ids`, each of which may be named once; missing ones are
    /// left out.
    ///
    /// # Errors
    /// The AWS error, or `rate_limited` when DynamoDB keeps leaving keys over.
    pub async fn get_jobs(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        let items = self.batch_get(ids.iter().map(keys::job).collect()).await?;
        let mut found = HashMap::with_capacity(items.len());
        for item in items {
            let job = job_of(item)?;
            found.insert(job.id.clone(), job);
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// Reads the items of these keys, strongly consistent, in no order; missing ones are left out. 100 keys a call.
    ///
    /// # Errors
    /// As [`Self::get_jobs`].
    pub(in crate::store) async fn batch_get(&self, mut wanted: Vec<keys::Key>) -> Result<Vec<Item>> {
        let mut found = Vec::with_capacity(wanted.len());
        let mut rounds_without_end = 0;
        while !wanted.is_empty() {
            let later = wanted.split_off(wanted.len().min(KEYS_PER_CALL));
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .build()
                .map_err(Error::internal)?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, keys)
                .send()
                .boxed()
                .await
                .map_err(|e| service_error(Service::DynamoDb, "BatchGetItem", &e))?;
            let before = found.len();
            found.extend(answer.responses.into_iter().flat_map(HashMap::into_values).flatten());
            let left: Vec<_> =
                answer.unprocessed_keys.into_iter().flat_map(HashMap::into_values).flat_map(|k| k.keys).collect();
            // An answer holds 16 MB: what is left over is no sign of throttling while something comes.
            if left.is_empty() || found.len() > before {
                rounds_without_end = 0;
            } else {
                rounds_without_end += 1;
                if rounds_without_end == MAX_ROUNDS {
                    return Err(Error::new(
                        ErrorCode::RateLimited,
                        "DynamoDB throttles BatchGetItem; try again shortly.",
                    ));
                }
                tokio::time::sleep(Duration::from_millis(25 << rounds_without_end)).await;
            }
            wanted = left;
            wanted.extend(later);
        }
        Ok(found)
    }
}
