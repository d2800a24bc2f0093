//! Where the queues are: URLs cached, queues made on first use.

use futures::FutureExt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_sqs::operation::create_queue::CreateQueueError;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::{SqsQueue, Transport};
use crate::aws::{Service, service_error};
use crate::bounded::Bounded;
use ojs_model::error::{Error, ErrorCode, Result};

/// How long a process believes that a queue does not exist, ms.
const ABSENT_MS: i64 = 1_000;
/// A new queue answers after about a second (AWS documents at least one).
const NEW_QUEUE_TRIES: u32 = 15;
const NEW_QUEUE_PAUSE: Duration = Duration::from_millis(200);
/// SQS's longest, s: an unfetched job must not vanish with its message.
const RETENTION_S: &str = "1209600";
/// Native redrive is the safety net, not the retry policy; this is SQS's highest.
const MAX_RECEIVE_COUNT: u32 = 1_000;

/// What is known of the queues, for the life of the process.
#[derive(Debug, Default)]
pub(super) struct QueueUrls {
    known: RwLock<Bounded<SqsQueue, Known>>,
    /// ARNs of dead-letter queues by OJS queue, which its tiers share.
    dead_letters: RwLock<Bounded<String, String>>,
    /// The queues that are looked for or made just now: one request does it, the others wait for what it finds.
    looking: Mutex<HashMap<SqsQueue, Arc<tokio::sync::Mutex<()>>>>,
}

/// A place among those that look for a queue. The last to leave clears it, also when its request is dropped.
struct Looking<'a> {
    urls: &'a QueueUrls,
    sqs_queue: &'a SqsQueue,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        let mut looking = self.urls.looking.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own and this one: others reach it only through the map.
        if Arc::strong_count(&self.turn) == 2 {
            looking.remove(self.sqs_queue);
        }
    }
}

#[derive(Debug, Clone)]
enum Known {
    Url(String),
    /// There was none at this ms.
    Absent(i64),
}

impl QueueUrls {
    fn get(&self, sqs_queue: &SqsQueue) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(sqs_queue).cloned()
    }

    fn set(&self, sqs_queue: &SqsQueue, known: Known) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(sqs_queue.clone(), known);
    }

    fn forget(&self, sqs_queue: &SqsQueue) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(sqs_queue);
        // The dead-letter queue may have been deleted with it.
        self.dead_letters.write().unwrap_or_else(PoisonError::into_inner).remove(&sqs_queue.queue);
    }

    fn looking<'a>(&'a self, sqs_queue: &'a SqsQueue) -> Looking<'a> {
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = Arc::clone(looking.entry(sqs_queue.clone()).or_default());
        Looking { urls: self, sqs_queue, turn }
    }

    fn dead_letter_arn(&self, queue: &str) -> Option<String> {
        self.dead_letters.read().unwrap_or_else(PoisonError::into_inner).get(queue).cloned()
    }

    fn note_dead_letter_arn(&self, queue: &str, arn: &str) {
        let mut known = self.dead_letters.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(queue.to_owned(), arn.to_owned());
    }

    pub(super) fn clear(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.dead_letters.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Whether SQS says that the queue is not there.
pub(super) fn is_missing_queue(error: &impl ProvideErrorMetadata) -> bool {
    matches!(error.code(), Some("QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue"))
}

impl Transport {
    /// Whether this process has used the queue already.
    #[must_use]
    pub fn knows(&self, sqs_queue: &SqsQueue) -> bool {
        matches!(self.urls.get(sqs_queue), Some(Known::Url(_)))
    }

    /// Asks whether SQS answers: one look-up of a queue that need not exist.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn ping(&self) -> Result<()> {
        self.look_up(&SqsQueue::jobs("default").sqs_name(&self.prefix, self.fifo)).await.map(|_| ())
    }

    /// The URL of a queue; `None` when it does not exist. Never creates one: a mistyped name in a fetch must not.
    pub(super) async fn url(&self, sqs_queue: &SqsQueue) -> Result<Option<String>> {
        if let Some(known) = self.remembered(sqs_queue) {
            return Ok(known);
        }
        let looking = self.urls.looking(sqs_queue);
        let _one = looking.turn.lock().await;
        if let Some(known) = self.remembered(sqs_queue) {
            return Ok(known);
        }
        let found = self.look_up(&sqs_queue.sqs_name(&self.prefix, self.fifo)).await?;
        self.urls.set(sqs_queue, found.clone().map_or_else(|| Known::Absent(self.clock.now_ms()), Known::Url));
        Ok(found)
    }

    /// Looks a queue up, unless it is known, and creates it if need be.
    ///
    /// # Errors
    /// The AWS error; it may be created.
    pub async fn find_or_create(&self, sqs_queue: &SqsQueue) -> Result<()> {
        self.url_or_create(sqs_queue).await.map(|_| ())
    }

    /// The URL of a queue, which is created if need be.
    pub(super) async fn url_or_create(&self, sqs_queue: &SqsQueue) -> Result<String> {
        if let Some(Some(url)) = self.remembered(sqs_queue) {
            return Ok(url);
        }
        let looking = self.urls.looking(sqs_queue);
        let _one = looking.turn.lock().await;
        if let Some(Some(url)) = self.remembered(sqs_queue) {
            return Ok(url);
        }
        let url = match self.look_up(&sqs_queue.sqs_name(&self.prefix, self.fifo)).await? {
            Some(url) => url,
            None => self.create(sqs_queue).await?,
        };
        self.urls.set(sqs_queue, Known::Url(url.clone()));
        Ok(url)
    }

    /// What this process remembers of a queue: its URL, or that there was none a moment ago.
    fn remembered(&self, sqs_queue: &SqsQueue) -> Option<Option<String>> {
        match self.urls.get(sqs_queue) {
            Some(Known::Url(url)) => Some(Some(url)),
            Some(Known::Absent(at)) if self.clock.now_ms() - at < ABSENT_MS => Some(None),
            _ => None,
        }
    }

    /// Drops what is known of a queue that turned out not to be there.
    pub(super) fn forget(&self, sqs_queue: &SqsQueue) {
        self.urls.forget(sqs_queue);
    }

    async fn look_up(&self, name: &str) -> Result<Option<String>> {
        match self.client.get_queue_url().queue_name(name).send().boxed().await {
            Ok(answer) => Ok(answer.queue_url),
            Err(e) if e.as_service_error().is_some_and(is_missing_queue) => Ok(None),
            Err(e) => Err(service_error(Service::Sqs, "GetQueueUrl", &e)),
        }
    }

    /// Creates a queue, and the dead-letter queue that it shares with the other tiers. Racing callers ask for the same attributes, so all succeed.
    async fn create(&self, sqs_queue: &SqsQueue) -> Result<String> {
        let dead_letter_arn = self.dead_letter_arn(&sqs_queue.queue).await?;
        let redrive =
            format!(r#"{{"deadLetterTargetArn":"{dead_letter_arn}","maxReceiveCount":"{MAX_RECEIVE_COUNT}"}}"#);
        let url = self.create_one(&sqs_queue.sqs_name(&self.prefix, self.fifo), Some(redrive)).await?;
        tracing::info!(queue = sqs_queue.queue, url, "queue created");
        Ok(url)
    }

    /// The ARN of an OJS queue's dead-letter queue, which is created if need be: by one request for all tiers.
    async fn dead_letter_arn(&self, queue: &str) -> Result<String> {
        let sqs_queue = SqsQueue::dead_letters(queue);
        let looking = self.urls.looking(&sqs_queue);
        let _one = looking.turn.lock().await;
        if let Some(arn) = self.urls.dead_letter_arn(queue) {
            return Ok(arn);
        }
        let url = self.create_one(&sqs_queue.sqs_name(&self.prefix, self.fifo), None).await?;
        let arn = self.arn(&url).await?;
        self.urls.note_dead_letter_arn(queue, &arn);
        Ok(arn)
    }

    async fn create_one(&self, name: &str, redrive: Option<String>) -> Result<String> {
        let mut create = self
            .client
            .create_queue()
            .queue_name(name)
            .attributes(QueueAttributeName::MessageRetentionPeriod, RETENTION_S);
        if self.fifo {
            // Groups do not share a limit (high throughput).
            create = create
                .attributes(QueueAttributeName::FifoQueue, "true")
                .attributes(QueueAttributeName::DeduplicationScope, "messageGroup")
                .attributes(QueueAttributeName::FifoThroughputLimit, "perMessageGroupId");
        }
        if let Some(redrive) = redrive {
            create = create.attributes(QueueAttributeName::RedrivePolicy, redrive);
        }
        match create.send().boxed().await {
            Ok(answer) => answer.queue_url.ok_or_else(|| Error::internal("CreateQueue answered no URL")),
            Err(e) => match e.as_service_error() {
                // Another process made it with other attributes; it will do.
                Some(CreateQueueError::QueueNameExists(_)) => {
                    self.look_up(name).await?.ok_or_else(|| service_error(Service::Sqs, "CreateQueue", &e))
                }
                Some(CreateQueueError::QueueDeletedRecently(_)) => Err(Error::new(
                    ErrorCode::BackendUnavailable,
                    format!("SQS queue '{name}' was deleted less than a minute ago and cannot be made again yet."),
                )
                .retry_after(60)),
                _ => Err(service_error(Service::Sqs, "CreateQueue", &e)),
            },
        }
    }

    async fn arn(&self, url: &str) -> Result<String> {
        let mut attempt = 1;
        loop {
            let attributes = self.client.get_queue_attributes().queue_url(url);
            match attributes.attribute_names(QueueAttributeName::QueueArn).send().boxed().await {
                Ok(answer) => {
                    let arn = answer.attributes.and_then(|mut a| a.remove(&QueueAttributeName::QueueArn));
                    return arn.ok_or_else(|| Error::internal("GetQueueAttributes answered no ARN"));
                }
                Err(e) if attempt < NEW_QUEUE_TRIES && e.as_service_error().is_some_and(is_missing_queue) => {
                    attempt += 1;
                    self.clock.sleep(NEW_QUEUE_PAUSE).await;
                }
                Err(e) => return Err(service_error(Service::Sqs, "GetQueueAttributes", &e)),
            }
        }
    }
}

/// Tries that a send to a queue may take while the queue is new, and the pause between them.
pub(super) const NEW_QUEUE: (u32, Duration) = (NEW_QUEUE_TRIES, NEW_QUEUE_PAUSE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::MAX_ENTRIES;

    #[test]
    fn made_up_names_do_not_fill_the_memory() {
        let urls = QueueUrls::default();
        for name in 0..=MAX_ENTRIES {
            let sqs_queue = SqsQueue::jobs(&name.to_string());
            let first = urls.looking(&sqs_queue);
            let second = urls.looking(&sqs_queue);
            assert!(Arc::ptr_eq(&first.turn, &second.turn));
            urls.set(&sqs_queue, Known::Absent(0));
            urls.note_dead_letter_arn(&sqs_queue.queue, "arn");
        }
        assert!(urls.looking.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
        assert!(urls.known.read().unwrap_or_else(PoisonError::into_inner).len() <= MAX_ENTRIES);
        assert!(urls.dead_letters.read().unwrap_or_else(PoisonError::into_inner).len() <= MAX_ENTRIES);
    }
}
