use super::attributes as job;
use super::read::job_of;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::get_n;
use crate::store::{Store, keys};
use futures::FutureExt;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::Job;

impl Store {
    /// Reads a job as stored, strongly consistent; `None` when there is none.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_job(&self, id: &JobId) -> Result<Option<Job>> {
        self.get_item(keys::job(id)).await?.map(job_of).transpose()
    }

    /// When the table may forget a job, s since the Unix epoch; `None` while it has not ended.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn ttl_of(&self, id: &JobId) -> Result<Option<i64>> {
        Ok(self.get_item(keys::job(id)).await?.and_then(|item| get_n(&item, job::TTL)))
    }

    /// Asks whether the table answers: one eventually consistent read of nothing.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn ping(&self) -> Result<()> {
        self.client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(keys::queue("#ping")))
            .send()
            .boxed()
            .await
            .map(|_| ())
            .map_err(|e| service_error(Service::DynamoDb, "GetItem", &e))
    }
}
