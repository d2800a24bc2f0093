use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use futures::FutureExt;
use futures::stream::{self, StreamExt};

use super::batch::{CONCURRENCY, by_line, entry_error};
use super::queues::is_missing_queue;
use super::{MAX_BATCH, SqsQueue, Transport};
use crate::aws::{Service, service_error};
use ojs_model::error::{Error, Result};

impl Transport {
    /// Deletes messages in hand, each by its queue and receipt, ten a call, all of them whatever happens to one call. One
    /// that is gone already counts as deleted; one that SQS refuses to delete is logged, and comes back.
    ///
    /// # Errors
    /// The first AWS error; messages may have been deleted, or come back.
    pub async fn delete_all(&self, messages: &[(&SqsQueue, &str)]) -> Result<()> {
        let sqs_queues = by_line(messages.iter().copied());
        let calls: Vec<_> = sqs_queues
            .iter()
            .flat_map(|(sqs_queue, receipts)| {
                receipts.chunks(MAX_BATCH).map(|chunk| self.delete_chunk(sqs_queue, chunk))
            })
            .collect();
        let deleted: Vec<Result<()>> = stream::iter(calls).buffer_unordered(CONCURRENCY).collect().await;
        deleted.into_iter().collect()
    }

    async fn delete_chunk(&self, sqs_queue: &SqsQueue, receipts: &[&str]) -> Result<()> {
        if let [receipt] = receipts {
            return self.delete(sqs_queue, receipt).await;
        }
        let Some(url) = self.url(sqs_queue).await? else { return Ok(()) };
        let mut call = self.client.delete_message_batch().queue_url(&url);
        for (at, receipt) in receipts.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(at.to_string()).receipt_handle(*receipt);
            call = call.entries(entry.build().map_err(Error::internal)?);
        }
        let answer = match call.send().boxed().await {
            Ok(answer) => answer,
            Err(e) if e.as_service_error().is_some_and(is_missing_queue) => return Ok(()),
            Err(e) => return Err(service_error(Service::Sqs, "DeleteMessageBatch", &e)),
        };
        for entry in answer.failed() {
            // Logged; the message comes back and is looked at again.
            drop(entry_error("DeleteMessageBatch", entry));
        }
        Ok(())
    }
}
