use aws_sdk_dynamodb::types::ReturnValue;

use super::item::{NO_DEADLINE_MS, receipt};
use crate::store::Store;
use crate::store::dynamo::attributes::{n, s};
use crate::store::dynamo::update;
use crate::store::dynamo::update::Updated;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::QueueRetention;
use ojs_model::job::Receipt;

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// The worker's id, if it says.
    pub worker: Option<String>,
    /// The lease token to be.
    pub token: String,
    /// The lease's length that the fetch asks for, ms.
    pub visibility_ms: Option<i64>,
    /// The lease's length where neither fetch nor job says, ms.
    pub default_visibility_ms: i64,
    /// Execution timeout of a job without one, ms; none when `None`.
    pub default_timeout_ms: Option<i64>,
    /// How long the queue keeps jobs that have ended.
    pub retention: QueueRetention,
    /// The SQS message that named the job.
    pub receipt: Receipt,
}

impl Store {
    /// Claims a job that its item shows as available, or as scheduled or retryable and due: one conditional update,
    /// which answers the job as it is then.
    ///
    /// Jobs that only the clock made available (a lapsed lease) are refused here, and so are those with a rate limit or of a
    /// cancelled workflow; the
    /// caller settles them.
    ///
    /// # Errors
    /// The AWS error; the claim may have taken effect, and its lease then lapses.
    pub async fn claim_job(&self, id: &JobId, queue: &str, claim: &ClaimRequest, now_ms: i64) -> Result<Updated> {
        // All of this reads the item as it was before the update.
        let (length, length_ms) = match claim.visibility_ms {
            Some(ms) => (":length", ms),
            None => ("if_not_exists(vt, :length)", claim.default_visibility_ms),
        };
        let mut set = format!(
            "SET #s = :active, n = n + :one, r = r + :one, sa = :now, lt = :token, vd = {length}, \
             lu = {length} + :now, xd = if_not_exists(tm, :none) + :now, rh = :receipt, ea = if_not_exists(du, ea)"
        );
        let mut remove = "REMOVE du, dup, dus, nc, bt, lk".to_owned();
        let mut update = self.update(id);
        if let Some(worker) = &claim.worker {
            set.push_str(", lw = :worker");
            update = update.expression_attribute_values(":worker", s(worker));
        } else {
            remove.push_str(", lw");
        }
        let QueueRetention { completed_s, cancelled_s, discarded_s } = claim.retention;
        for (name, kept) in [("kc", completed_s), ("kk", cancelled_s), ("kd", discarded_s)] {
            match kept {
                Some(seconds) => {
                    set.push_str(&format!(", {name} = :{name}"));
                    update = update.expression_attribute_values(format!(":{name}"), n(seconds));
                }
                None => remove.push_str(&format!(", {name}")),
            }
        }
        if claim.receipt.tier == 0 {
            remove.push_str(", rt");
        } else {
            set.push_str(", rt = :tier");
            update = update.expression_attribute_values(":tier", n(claim.receipt.tier));
        }
        let update = update
            .update_expression(format!("{set} {remove}"))
            .condition_expression(format!(
                "q = :queue AND (#s = :available OR (#s IN (:scheduled, :retryable) AND du <= :now)) \
                 AND (attribute_not_exists(ex) OR ex > :now) AND attribute_not_exists(wf) \
                 AND attribute_not_exists(rl) AND attribute_not_exists(cq){}",
                // There a message can come before its batch is committed.
                if self.fifo { " AND attribute_not_exists(bt)" } else { "" }
            ))
            .expression_attribute_names("#s", "s")
            .expression_attribute_values(":active", s("active"))
            .expression_attribute_values(":available", s("available"))
            .expression_attribute_values(":scheduled", s("scheduled"))
            .expression_attribute_values(":retryable", s("retryable"))
            .expression_attribute_values(":queue", s(queue))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":none", n(claim.default_timeout_ms.unwrap_or(NO_DEADLINE_MS)))
            .expression_attribute_values(":token", s(&claim.token))
            .expression_attribute_values(":receipt", receipt(&claim.receipt.handle))
            .expression_attribute_values(":length", n(length_ms));
        Ok(match update::send(update, ReturnValue::AllNew).await? {
            // An SDK retry of a claim that took effect meets its own lease.
            Updated::Refused(job) if job.lease.as_ref().is_some_and(|lease| lease.token == claim.token) => {
                Updated::Done(job)
            }
            other => other,
        })
    }
}
