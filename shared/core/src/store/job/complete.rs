use aws_sdk_dynamodb::types::ReturnValue;

use crate::store::Store;
use crate::store::dynamo::attributes::{n, s};
use crate::store::dynamo::update;
use crate::store::dynamo::update::Updated;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Holder, State};
use ojs_model::json::Json;

impl Store {
    /// Completes a job whose lease runs and is `holder`'s: one conditional update, which answers the job as it was.
    ///
    /// `nonce` marks this call, so that an SDK retry of it knows its own effect.
    ///
    /// # Errors
    /// The AWS error; the update may have taken effect.
    pub async fn complete_job(
        &self,
        id: &JobId,
        holder: &Holder,
        result: Option<&Json>,
        nonce: u64,
        now_ms: i64,
    ) -> Result<Updated> {
        let mut set =
            "SET #s = :completed, r = r + :one, xa = :now, #ttl = if_not_exists(kc, :kept) + :now_s, nc = :nonce"
                .to_owned();
        let mut update = update::fenced(self.update(id), holder);
        if let Some(result) = result {
            set.push_str(", re = :result");
            update = update.expression_attribute_values(":result", s(result.get()));
        }
        // The token of the ack that ended the job stays, to recognise that ack when it comes again. An ack without a token may
        // be an earlier worker's: the lease's token did not end the job then.
        let ended_lease = if holder.token.is_some() { "" } else { ", lt" };
        let update = update
            .update_expression(format!("{set} REMOVE lw, lu, vd, xd{}{ended_lease}", self.receipt_removal()))
            .expression_attribute_names("#s", "s")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":completed", s("completed"))
            .expression_attribute_values(":active", s("active"))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":nonce", n(nonce))
            .expression_attribute_values(":now_s", n(now_ms / 1_000))
            .expression_attribute_values(":kept", n(self.kept_s(State::Completed)));
        update::send(update, ReturnValue::AllOld).await
    }
}
