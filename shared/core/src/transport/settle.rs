use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::FutureExt;

use super::queues::is_missing_queue;
use super::{MAX_HIDE_S, SqsQueue, Transport};
use crate::aws::{Service, service_error};
use ojs_model::error::Result;

impl Transport {
    /// Deletes a message; one that is gone already counts as deleted.
    ///
    /// # Errors
    /// The AWS error; the message may have been deleted, or comes back.
    pub async fn delete(&self, sqs_queue: &SqsQueue, receipt: &str) -> Result<()> {
        let Some(url) = self.url(sqs_queue).await? else { return Ok(()) };
        match self.client.delete_message().queue_url(url).receipt_handle(receipt).send().boxed().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(is_gone) => Ok(()),
            Err(e) => Err(service_error(Service::Sqs, "DeleteMessage", &e)),
        }
    }

    /// Hides a message in hand for `hidden_s` from now (0 to 43,140 s; 0 gives it back at once).
    ///
    /// A message that is not in hand any more, or cannot be hidden for longer (SQS stops at 12 h from the receive),
    /// is left: it comes back by itself, and the claim decides.
    ///
    /// # Errors
    /// The AWS error; the message may have been hidden.
    pub async fn hide(&self, sqs_queue: &SqsQueue, receipt: &str, hidden_s: i64) -> Result<()> {
        let Some(url) = self.url(sqs_queue).await? else { return Ok(()) };
        let hidden_s = i32::try_from(hidden_s.clamp(0, MAX_HIDE_S)).unwrap_or(0);
        let sent = self
            .client
            .change_message_visibility()
            .queue_url(url)
            .receipt_handle(receipt)
            .visibility_timeout(hidden_s)
            .send();
        match sent.await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(is_gone) => Ok(()),
            Err(e) => Err(service_error(Service::Sqs, "ChangeMessageVisibility", &e)),
        }
    }
}

fn is_gone(error: &impl ProvideErrorMetadata) -> bool {
    is_missing_queue(error)
        || matches!(
            error.code(),
            Some(
                "ReceiptHandleIsInvalid"
                    | "MessageNotInflight"
                    | "AWS.SimpleQueueService.MessageNotInflight"
                    | "InvalidParameterValue"
                    | "InvalidParameterValueException"
            )
        )
}
