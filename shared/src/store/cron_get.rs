use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use super::cron_item::cron_of;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use crate::cron::Cron;
use crate::error::{Error, Result};

/// DynamoDB's limit for one call.
const KEYS_PER_CALL: usize = 100;

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

    /// Reads cron jobs, strongly consistent, in no order; missing ones are left out, and so are those that DynamoDB leaves
    /// over or that cannot be read: the next tick asks again.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_crons(&self, names: &[String]) -> Result<Vec<Cron>> {
        let mut found = Vec::with_capacity(names.len());
        for chunk in names.chunks(KEYS_PER_CALL) {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(chunk.iter().map(|name| keys::cron(name)).collect()))
                .consistent_read(true)
                .build()
                .map_err(Error::internal)?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, wanted)
                .send()
                .await
                .map_err(|e| service_error(Service::DynamoDb, "BatchGetItem", &e))?;
            let items = answer.responses.into_iter().flat_map(HashMap::into_values).flatten();
            found.extend(items.filter_map(|item| cron_of(item).ok()));
        }
        Ok(found)
    }
}
