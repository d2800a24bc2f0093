use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use futures::FutureExt;

use super::batch::entry_error;
use super::{Line, MAX_BATCH, Transport};
use crate::aws::{Service, service_error};
use crate::error::{Error, Result};

impl Transport {
    /// Deletes messages in hand, ten a call; answers how many could not be deleted, which come back.
    ///
    /// # Errors
    /// The AWS error of a call; messages may have been deleted, or come back.
    pub async fn delete_batch(&self, line: &Line, receipts: &[&str]) -> Result<usize> {
        let Some(url) = self.url(line).await? else { return Ok(0) };
        let mut failed = 0;
        for chunk in receipts.chunks(MAX_BATCH) {
            let mut call = self.client.delete_message_batch().queue_url(&url);
            for (at, receipt) in chunk.iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder().id(at.to_string()).receipt_handle(*receipt);
                call = call.entries(entry.build().map_err(Error::internal)?);
            }
            let answer =
                call.send().boxed().await.map_err(|e| service_error(Service::Sqs, "DeleteMessageBatch", &e))?;
            for entry in answer.failed() {
                // Logged; the message comes back and is looked at again.
                drop(entry_error("DeleteMessageBatch", entry));
                failed += 1;
            }
        }
        Ok(failed)
    }
}
