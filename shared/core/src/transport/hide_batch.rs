use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use futures::FutureExt;
use futures::stream::{self, StreamExt};

use super::batch::{CONCURRENCY, by_line, entry_error};
use super::queues::is_missing_queue;
use super::{MAX_BATCH, MAX_HIDE_S, SqsQueue, Transport};
use crate::aws::{Service, service_error};
use ojs_model::error::{Error, Result};

/// A message in hand, and how long it is to be hidden.
#[derive(Debug, Clone, Copy)]
pub struct Hidden<'a> {
    /// Where it came from.
    pub sqs_queue: &'a SqsQueue,
    /// What settles it.
    pub receipt: &'a str,
    /// For how long from now, s; 0 to 43,140. 0 returns it to its queue at once.
    pub hidden_s: i64,
}

impl Transport {
    /// Hides messages in hand, of whatever queues, ten a call, all of them whatever happens to one call.
    ///
    /// Those that are not in hand any more are left: they come back by themselves.
    ///
    /// # Errors
    /// The first AWS error; messages may have been hidden.
    pub async fn hide_all(&self, messages: &[Hidden<'_>]) -> Result<()> {
        let sqs_queues = by_line(messages.iter().map(|message| (message.sqs_queue, *message)));
        let calls: Vec<_> = sqs_queues
            .iter()
            .flat_map(|(sqs_queue, messages)| messages.chunks(MAX_BATCH).map(|chunk| self.hide_chunk(sqs_queue, chunk)))
            .collect();
        let hidden: Vec<Result<()>> = stream::iter(calls).buffer_unordered(CONCURRENCY).collect().await;
        hidden.into_iter().collect()
    }

    async fn hide_chunk(&self, sqs_queue: &SqsQueue, messages: &[Hidden<'_>]) -> Result<()> {
        if let [message] = messages {
            return self.hide(sqs_queue, message.receipt, message.hidden_s).await;
        }
        let Some(url) = self.url(sqs_queue).await? else { return Ok(()) };
        let mut call = self.client.change_message_visibility_batch().queue_url(&url);
        for (at, message) in messages.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(at.to_string())
                .receipt_handle(message.receipt)
                .visibility_timeout(i32::try_from(message.hidden_s.clamp(0, MAX_HIDE_S)).unwrap_or(0));
            call = call.entries(entry.build().map_err(Error::internal)?);
        }
        let answer = match call.send().boxed().await {
            Ok(answer) => answer,
            Err(e) if e.as_service_error().is_some_and(is_missing_queue) => return Ok(()),
            Err(e) => return Err(service_error(Service::Sqs, "ChangeMessageVisibilityBatch", &e)),
        };
        for entry in answer.failed() {
            // Logged; the message comes back when the time of its receive is over.
            drop(entry_error("ChangeMessageVisibilityBatch", entry));
        }
        Ok(())
    }
}
