use futures::FutureExt;
use std::time::Duration;

use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::MessageSystemAttributeName;

use super::queues::is_missing_queue;
use super::{MAX_RECEIVE, QueueKind, SqsQueue, Transport};
use crate::aws::{Service, service_error};
use ojs_model::error::Result;
use ojs_model::job::Receipt;
use ojs_model::message::JobRef;
use ojs_model::message::MAX_HIDDEN_S;

/// A message in hand: hidden from others until its visibility timeout.
#[derive(Debug, Clone)]
pub struct Received {
    /// Where it came from.
    pub sqs_queue: SqsQueue,
    /// What settles it.
    pub receipt: String,
    /// The job it names; `None` when it is not one of ours.
    pub job: Option<JobRef>,
    /// When it was sent, ms since the Unix epoch.
    pub sent_at_ms: i64,
    /// How often it has been received, this time included.
    pub receives: i64,
    /// Its message group, on a FIFO queue.
    pub group: Option<String>,
}

impl Received {
    /// What settles it, and where.
    #[must_use]
    pub fn receipt(&self) -> Receipt {
        let tier = match self.sqs_queue.kind {
            QueueKind::Jobs { tier } => tier,
            QueueKind::DeadLetters => 0,
        };
        Receipt { handle: self.receipt.clone(), tier }
    }
}

impl Transport {
    /// Receives up to `max` (1 to 10) messages and hides them for `hidden_s`; waits up to `wait` for the first.
    ///
    /// A short poll (`wait` zero) asks some of SQS's servers only, and may answer nothing though messages wait. A
    /// queue that does not exist has none.
    ///
    /// # Errors
    /// The AWS error; messages may have been hidden, and come back.
    pub async fn receive(
        &self,
        sqs_queue: &SqsQueue,
        max: usize,
        hidden_s: i64,
        wait: Duration,
    ) -> Result<Vec<Received>> {
        let Some(url) = self.url(sqs_queue).await? else { return Ok(Vec::new()) };
        let wait_s = i32::try_from(wait.as_secs()).unwrap_or(0);
        let mut receive = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(max.clamp(1, MAX_RECEIVE)).unwrap_or(1))
            .visibility_timeout(i32::try_from(hidden_s.clamp(1, MAX_HIDDEN_S)).unwrap_or(1))
            // Zero is said too: the queue may have a default wait of its own.
            .wait_time_seconds(wait_s)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        if self.fifo {
            // The SDK's retry of a receive whose answer was lost gets the same messages, instead of blocking their groups.
            receive = receive
                .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
                .receive_request_attempt_id(format!("{:032x}", fastrand::u128(..)));
        }
        let mut receive = receive.customize();
        if wait_s > 0 {
            // The client's own limit is meant for calls that answer at once.
            let limit = TimeoutConfig::builder()
                .operation_attempt_timeout(wait + Duration::from_secs(5))
                .operation_timeout(wait + Duration::from_secs(10))
                .build();
            receive = receive.config_override(aws_sdk_sqs::config::Builder::new().timeout_config(limit));
        }
        let answer = match receive.send().boxed().await {
            Ok(answer) => answer,
            Err(e) if e.as_service_error().is_some_and(is_missing_queue) => {
                self.forget(sqs_queue);
                return Ok(Vec::new());
            }
            Err(e) => return Err(service_error(Service::Sqs, "ReceiveMessage", &e)),
        };
        let messages = answer.messages.unwrap_or_default().into_iter().filter_map(|message| {
            let text = |name| message.attributes.as_ref()?.get(&name);
            let number = |name| -> Option<i64> { text(name)?.parse().ok() };
            let sent_at_ms = number(MessageSystemAttributeName::SentTimestamp);
            let receives = number(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1);
            let group = text(MessageSystemAttributeName::MessageGroupId).filter(|_| self.fifo).cloned();
            Some(Received {
                sqs_queue: sqs_queue.clone(),
                group,
                receipt: message.receipt_handle?,
                job: message.body.as_deref().and_then(JobRef::from_body),
                sent_at_ms: sent_at_ms.unwrap_or_else(|| self.clock.now_ms()),
                receives,
            })
        });
        Ok(messages.collect())
    }
}
