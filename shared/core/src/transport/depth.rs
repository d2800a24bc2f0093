use aws_sdk_sqs::types::QueueAttributeName;
use futures::FutureExt;

use super::queues::is_missing_queue;
use super::{SqsQueue, Transport};
use crate::aws::{Service, service_error};
use ojs_model::error::Result;

/// SQS's approximate numbers of a queue's messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// To be received.
    pub visible: u64,
    /// Received and not deleted, or hidden for a while.
    pub in_flight: u64,
    /// Sent with a delay that is not over.
    pub delayed: u64,
}

impl Transport {
    /// How many messages a queue has, roughly; none where it does not exist.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn depth(&self, sqs_queue: &SqsQueue) -> Result<Depth> {
        let Some(url) = self.url(sqs_queue).await? else { return Ok(Depth::default()) };
        let (visible, in_flight, delayed) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        );
        let asked = vec![visible.clone(), in_flight.clone(), delayed.clone()];
        let sent =
            self.client.get_queue_attributes().queue_url(url).set_attribute_names(Some(asked)).send().boxed().await;
        let attributes = match sent {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(e) if e.as_service_error().is_some_and(is_missing_queue) => return Ok(Depth::default()),
            Err(e) => return Err(service_error(Service::Sqs, "GetQueueAttributes", &e)),
        };
        let number = |name| attributes.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Depth { visible: number(&visible), in_flight: number(&in_flight), delayed: number(&delayed) })
    }
}
