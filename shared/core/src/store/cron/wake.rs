use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::n;
use crate::store::{Store, keys};
use futures::FutureExt;
use ojs_model::error::Result;

impl Store {
    /// Notes that a message has been sent ahead for the occurrence of `at_ms`, unless the cron job has moved on.
    ///
    /// # Errors
    /// The AWS error; the note may have been made. Without it a second message is sent, which does no harm.
    pub async fn note_cron_woken(&self, name: &str, at_ms: i64) -> Result<()> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::cron(name)))
            .update_expression("SET wk = :at, r = r + :one")
            .condition_expression("nx = :at")
            .expression_attribute_values(":at", n(at_ms))
            .expression_attribute_values(":one", n(1))
            .send()
            .boxed()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(()),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
    }
}
