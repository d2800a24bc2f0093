use aws_sdk_dynamodb::types::ReturnValue;

use crate::store::Store;
use crate::store::dynamo::attributes::{n, s};
use crate::store::dynamo::update;
use crate::store::dynamo::update::Updated;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::Holder;

impl Store {
    /// Extends the lease of `holder` by `duration_ms`, or by its own length, from now: one conditional update, which
    /// answers the job as it is then.
    ///
    /// # Errors
    /// The AWS error; the update may have taken effect.
    pub async fn extend_job(
        &self,
        id: &JobId,
        holder: &Holder,
        duration_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<Updated> {
        let mut update = update::fenced(self.update(id), holder);
        let length = match duration_ms {
            Some(ms) => {
                update = update.expression_attribute_values(":length", n(ms));
                ":length"
            }
            None => "vd",
        };
        let update = update
            .update_expression(format!("SET lu = {length} + :now, r = r + :one"))
            .expression_attribute_names("#s", "s")
            .expression_attribute_values(":active", s("active"))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(now_ms));
        update::send(update, ReturnValue::AllNew).await
    }
}
