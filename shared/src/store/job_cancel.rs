use aws_sdk_dynamodb::types::ReturnValue;

use super::Store;
use super::attr::{n, s};
use super::update::{self, Updated};
use crate::error::Result;
use crate::ids::JobId;
use crate::job::State;

impl Store {
    /// Cancels a job that the clock has not moved, and that is no step of a workflow: one conditional update, which answers the job as it was.
    ///
    /// `nonce` marks this call, so that an SDK retry of it knows its own effect.
    ///
    /// # Errors
    /// The AWS error; the update may have taken effect.
    pub async fn cancel_job(&self, id: &JobId, nonce: u64, now_ms: i64) -> Result<Updated> {
        let update = self
            .update(id)
            .update_expression(
                "SET ps = #s, #s = :cancelled, r = r + :one, ka = :now, #ttl = if_not_exists(kk, :kept) + :now_s, nc = :nonce \
                 REMOVE du, dup, dus, lt, lw, lu, vd, xd, rh, rt",
            )
            .condition_expression(
                "attribute_not_exists(wo) AND ((#s = :active AND lu > :now AND xd > :now) OR \
                 ((attribute_not_exists(ex) OR ex > :now) AND \
                 (#s IN (:available, :pending) OR (#s IN (:scheduled, :retryable) AND du > :now))))",
            )
            .expression_attribute_names("#s", "s")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":cancelled", s("cancelled"))
            .expression_attribute_values(":active", s("active"))
            .expression_attribute_values(":available", s("available"))
            .expression_attribute_values(":pending", s("pending"))
            .expression_attribute_values(":scheduled", s("scheduled"))
            .expression_attribute_values(":retryable", s("retryable"))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":nonce", n(nonce))
            .expression_attribute_values(":now_s", n(now_ms / 1_000))
            .expression_attribute_values(":kept", n(self.kept_s(State::Cancelled)));
        update::send(update, ReturnValue::AllOld).await
    }
}
