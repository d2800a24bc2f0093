use aws_sdk_dynamodb::types::ReturnValue;

use crate::store::Store;
use crate::store::dynamo::attributes::{n, s};
use crate::store::dynamo::update;
use crate::store::dynamo::update::Updated;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::State;

impl Store {
    /// Cancels a job that is in one of these states, that the clock has not moved, and that is no step of a workflow: one
    /// conditional update, which answers the job as it was.
    ///
    /// `nonce` marks this call, so that an SDK retry of it knows its own effect.
    ///
    /// # Errors
    /// The AWS error; the update may have taken effect.
    pub async fn cancel_job(&self, id: &JobId, states: &[State], nonce: u64, now_ms: i64) -> Result<Updated> {
        let mut update = self
            .update(id)
            .update_expression(format!(
                "SET ps = #s, #s = :cancelled, r = r + :one, ka = :now, #ttl = if_not_exists(kk, :kept) + :now_s, nc = :nonce \
                 REMOVE du, dup, dus, pg, lt, lw, lu, vd, xd{}",
                self.receipt_removal()
            ))
            .condition_expression(format!("attribute_not_exists(wo) AND ({})", unmoved(states)))
            .expression_attribute_names("#s", "s")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":cancelled", s("cancelled"))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":nonce", n(nonce))
            .expression_attribute_values(":now_s", n(now_ms / 1_000))
            .expression_attribute_values(":kept", n(self.kept_s(State::Cancelled)));
        for state in states {
            update = update.expression_attribute_values(format!(":{}", state.as_str()), s(state.as_str()));
        }
        update::send(update, ReturnValue::AllOld).await
    }
}

/// The condition that a job is in one of these states, of those that have not ended, and that the clock has not moved it on.
fn unmoved(states: &[State]) -> String {
    let each = states.iter().map(|state| {
        let name = state.as_str();
        match state {
            State::Active => format!("(#s = :{name} AND lu > :now AND xd > :now)"),
            State::Scheduled | State::Retryable => {
                format!("(#s = :{name} AND du > :now AND (attribute_not_exists(ex) OR ex > :now))")
            }
            _ => format!("(#s = :{name} AND (attribute_not_exists(ex) OR ex > :now))"),
        }
    });
    each.collect::<Vec<_>>().join(" OR ")
}
