use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message::{SendMessageError, SendMessageOutput};
use futures::FutureExt;

use super::queues::{NEW_QUEUE, is_missing_queue};
use super::{SqsQueue, Transport};
use crate::aws::{Service, service_error};
use ojs_model::error::Result;
use ojs_model::message::JobRef;

impl Transport {
    /// Sends one message about a job, visible after `delay_s` (0 to 900 s; FIFO queues know no delay). Creates the queue if
    /// need be.
    ///
    /// # Errors
    /// The AWS error; the message may have been sent.
    pub async fn send(&self, sqs_queue: &SqsQueue, job: &JobRef, delay_s: i64) -> Result<()> {
        let (tries, pause) = NEW_QUEUE;
        let was_known = self.knows(sqs_queue);
        for attempt in 1..=tries {
            let url = self.url_or_create(sqs_queue).await?;
            match self.send_to(url, job, delay_s).await {
                Ok(_) => return Ok(()),
                Err(e) if attempt < tries && e.as_service_error().is_some_and(is_missing_queue) => {
                    // Either it is so new that SQS does not know it yet, or it was deleted meanwhile.
                    if was_known && attempt == 1 {
                        self.forget(sqs_queue);
                    } else {
                        self.clock.sleep(pause).await;
                    }
                }
                Err(e) => return Err(service_error(Service::Sqs, "SendMessage", &e)),
            }
        }
        Ok(())
    }

    async fn send_to(
        &self,
        url: String,
        job: &JobRef,
        delay_s: i64,
    ) -> std::result::Result<SendMessageOutput, SdkError<SendMessageError>> {
        self.client
            .send_message()
            .queue_url(url)
            .message_body(job.to_body())
            .set_delay_seconds(self.delay_of(delay_s))
            .set_message_group_id(self.group_of(job))
            .set_message_deduplication_id(self.deduplication_id(job))
            .send()
            .boxed()
            .await
    }
}
