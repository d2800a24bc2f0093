use futures::FutureExt;

use crate::aws::{Service, service_error};
use crate::store::Store;
use crate::store::dynamo::attributes::{n, s};
use ojs_model::error::Result;
use ojs_model::ids::JobId;

impl Store {
    /// Tells the worker of an active job that nobody wants its result any more: one conditional update, which the next heartbeat
    /// shows. `false` when it is not active.
    ///
    /// # Errors
    /// The AWS error; it may be told.
    pub async fn ask_to_cancel(&self, id: &JobId, now_ms: i64) -> Result<bool> {
        let sent = self
            .update(id)
            .update_expression("SET cq = if_not_exists(cq, :now)")
            .condition_expression("#s = :active")
            .expression_attribute_names("#s", "s")
            .expression_attribute_values(":active", s("active"))
            .expression_attribute_values(":now", n(now_ms))
            .send()
            .boxed()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(false),
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateItem", &e)),
        }
    }
}
