use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use super::cron_item::cron_of;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use crate::cron::Cron;
use crate::error::{Error, Result};

/// DynamoDB's limit for one call.
const KEYS_PER_CALL: usize = 100;
/// Calls in a row that may leave keys over: an answer holds 16 MB.
const MAX_ROUNDS: usize = 4;

impl Store {
    /// Reads a cron job, strongly consistent; `None` when there is none.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_cron(&self, name: &str) -> Result<Option<Cron>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(keys::cron(name)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "GetItem", &e))?;
        answer.item.map(cron_of).transpose()
    }

    /// Reads cron jobs, strongly consistent, in no order; missing ones are left out. Answers also how many could not be
    /// read: left over by DynamoDB again and again, or written by a version that this one does not understand.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_crons(&self, names: &[String]) -> Result<(Vec<Cron>, usize)> {
        let (mut found, mut unread) = (Vec::with_capacity(names.len()), 0);
        for chunk in names.chunks(KEYS_PER_CALL) {
            let mut wanted: Vec<_> = chunk.iter().map(|name| keys::cron(name)).collect();
            for _ in 0..MAX_ROUNDS {
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
                    // What is wrong with it is in the log.
                    match cron_of(item) {
                        Ok(cron) => found.push(cron),
                        Err(_) => unread += 1,
                    }
                }
                wanted =
                    answer.unprocessed_keys.into_iter().flat_map(HashMap::into_values).flat_map(|k| k.keys).collect();
                if wanted.is_empty() {
                    break;
                }
            }
            unread += wanted.len();
        }
        Ok((found, unread))
    }
}
