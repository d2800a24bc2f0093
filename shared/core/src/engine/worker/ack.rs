use crate::engine::Engine;
use crate::engine::job::refuse;
use crate::store::{MAX_ITEM_BYTES, Updated};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Event, Holder, Job, Refusal, step};
use ojs_model::json::Json;

/// A worker says that it is done.
#[derive(Debug, Clone)]
pub struct Ack {
    /// The job.
    pub id: JobId,
    /// Who says so.
    pub holder: Holder,
    /// What came of it, any JSON.
    pub result: Option<Json>,
}

/// The answer to an ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// ms since the Unix epoch.
    pub completed_at: i64,
}

impl Engine {
    /// Completes a job (OJS core section 7.3): one conditional update, then the message and the counter at once.
    ///
    /// # Errors
    /// `not_found`; `conflict` when the job is not active or the lease is another's; `payload_too_large` when the item
    /// cannot hold the result; the AWS error, after which a repetition finishes what the end entails.
    pub async fn ack(&self, ack: Ack) -> Result<Acked> {
        let now = self.now_ms();
        let Ack { id, holder, result } = ack;
        // DynamoDB refuses what is larger than any item in ways of its own. Whose lease it is comes first all the same.
        if result.as_ref().is_some_and(|result| result.get().len() > MAX_ITEM_BYTES) {
            let stored = self.store.get_job(&id).await?.ok_or_else(|| refuse::missing(&id))?;
            return self.ack_again(&stored, holder, result, now).await;
        }
        let nonce = self.ids.nonce();
        match self.store.complete_job(&id, &holder, result.as_ref(), nonce, now).await? {
            Updated::Done(before) => {
                let receipt = before.lease.as_ref().and_then(|lease| lease.receipt.clone());
                let event = Event::Ack { holder, result };
                // What the update did, for those who follow.
                if let Ok(change) = step(&before, event, now) {
                    self.conclude(&change.job, receipt.as_ref()).await?;
                }
            }
            // Our own first try; on a standard queue the message's receipt went with it, and its return is dropped.
            Updated::Refused(job) if job.nonce == Some(nonce) => {
                self.conclude(&job, job.ended_receipt.as_ref()).await?;
            }
            Updated::Refused(job) => return self.ack_again(&job, holder, result, now).await,
            Updated::TooLarge => {
                let stored = self.store.get_job(&id).await?.ok_or_else(|| refuse::missing(&id))?;
                return self.ack_again(&stored, holder, result, now).await;
            }
            Updated::Missing => return Err(refuse::missing(&id)),
        }
        tracing::info!(job_id = %id, "job completed");
        Ok(Acked { completed_at: now })
    }

    /// The update was refused: the stored job says why, or lets the ack through once its history is shortened.
    async fn ack_again(&self, stored: &Job, holder: Holder, result: Option<Json>, now: i64) -> Result<Acked> {
        let size = result.as_ref().map_or(0, |r| r.get().len());
        let fenced = self.fenced_ack(stored, &holder, now).await?;
        let change = match step(&fenced, Event::Ack { holder, result }, now) {
            Ok(change) => change,
            Err(refusal) => {
                // The process that ended the job may have crashed before the rest.
                self.finish_again(stored).await?;
                return match refusal {
                    Refusal::Repeated => Ok(Acked { completed_at: stored.completed_at.unwrap_or(now) }),
                    refusal => Err(refuse::conflict(stored, &refusal, "ack", "active", now)),
                };
            }
        };
        match self.replace(stored, &change.job).await? {
            Updated::Done(job) => {
                let receipt = stored.lease.as_ref().and_then(|lease| lease.receipt.as_ref());
                self.conclude(&job, receipt).await?;
                Ok(Acked { completed_at: now })
            }
            Updated::TooLarge => {
                let room = MAX_ITEM_BYTES.saturating_sub(stored.envelope_bytes() + ojs_model::job::MAX_ENTRY_BYTES);
                Err(Error::too_large("result", size, room))
            }
            Updated::Refused(_) => Err(refuse::raced(&stored.id)),
            Updated::Missing => Err(refuse::missing(&stored.id)),
        }
    }
}
