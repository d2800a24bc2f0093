use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use futures::FutureExt;

use super::batch::entry_error;
use super::{Line, MAX_BATCH, MAX_HIDE_S, Transport};
use crate::aws::{Service, service_error};
use crate::error::{Error, Result};

impl Transport {
    /// Hides messages in hand for `hidden_s` from now (0 to 43,140 s; 0 gives them back at once), ten a call.
    ///
    /// Those that are not in hand any more are left: they come back by themselves.
    ///
    /// # Errors
    /// The AWS error of a call; messages may have been hidden.
    pub async fn hide_batch(&self, line: &Line, receipts: &[&str], hidden_s: i64) -> Result<()> {
        if let [receipt] = receipts {
            return self.hide(line, receipt, hidden_s).await;
        }
        let Some(url) = self.url(line).await? else { return Ok(()) };
        let hidden_s = i32::try_from(hidden_s.clamp(0, MAX_HIDE_S)).unwrap_or(0);
        for chunk in receipts.chunks(MAX_BATCH) {
            let mut call = self.client.change_message_visibility_batch().queue_url(&url);
            for (at, receipt) in chunk.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(at.to_string())
                    .receipt_handle(*receipt)
                    .visibility_timeout(hidden_s);
                call = call.entries(entry.build().map_err(Error::internal)?);
            }
            let sent = call.send().boxed().await;
            let answer = sent.map_err(|e| service_error(Service::Sqs, "ChangeMessageVisibilityBatch", &e))?;
            for entry in answer.failed() {
                // Logged; the message comes back when the time of its receive is over.
                drop(entry_error("ChangeMessageVisibilityBatch", entry));
            }
        }
        Ok(())
    }
}
