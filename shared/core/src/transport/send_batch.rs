use futures::FutureExt;
use std::collections::HashSet;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

use super::batch::{entry_error, may_be_repeated};
use super::queues::{NEW_QUEUE, is_missing_queue};
use super::{MAX_BATCH, SqsQueue, Transport};
use crate::aws::{Service, service_error};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::message::JobRef;

/// How often entries that failed within a call that did not are sent in all.
const TRIES: u32 = 3;

impl Transport {
    /// Sends messages about jobs to one queue, each visible after its delay (0 to 900 s), ten a call, in order. Answers
    /// what became of each, in order. Creates the queue if need be.
    ///
    /// A batch can fail in part though its call succeeds; entries that SQS itself failed are sent again, twice at most.
    pub async fn send_batch(&self, sqs_queue: &SqsQueue, messages: &[(JobRef, i64)]) -> Vec<Result<()>> {
        let mut answers = Vec::with_capacity(messages.len());
        for chunk in messages.chunks(MAX_BATCH) {
            answers.extend(self.send_chunk(sqs_queue, chunk).await);
        }
        answers
    }

    async fn send_chunk(&self, sqs_queue: &SqsQueue, messages: &[(JobRef, i64)]) -> Vec<Result<()>> {
        let mut answers: Vec<Result<()>> = messages.iter().map(|_| Ok(())).collect();
        let mut left: Vec<usize> = (0..messages.len()).collect();
        for attempt in 1..=TRIES {
            let failed = match self.send_entries(sqs_queue, messages, &left).await {
                Ok(failed) => failed,
                Err(error) => {
                    for at in left {
                        answers[at] = Err(error.clone());
                    }
                    return answers;
                }
            };
            left.clear();
            for (at, error, again) in failed {
                if again && attempt < TRIES {
                    left.push(at);
                } else {
                    answers[at] = Err(error);
                }
            }
            if left.is_empty() {
                break;
            }
        }
        answers
    }

    /// One call, for the messages at `which`; answers those that failed, and whether to try again.
    async fn send_entries(
        &self,
        sqs_queue: &SqsQueue,
        messages: &[(JobRef, i64)],
        which: &[usize],
    ) -> Result<Vec<(usize, Error, bool)>> {
        let (tries, pause) = NEW_QUEUE;
        let was_known = self.knows(sqs_queue);
        let mut attempt = 1;
        let answer = loop {
            let url = self.url_or_create(sqs_queue).await?;
            let mut call = self.client.send_message_batch().queue_url(url);
            for at in which {
                let (job, delay_s) = &messages[*at];
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(at.to_string())
                    .message_body(job.to_body())
                    .set_delay_seconds(self.delay_of(*delay_s))
                    .set_message_group_id(self.group_of(job))
                    .set_message_deduplication_id(self.deduplication_id(job));
                call = call.entries(entry.build().map_err(Error::internal)?);
            }
            match call.send().boxed().await {
                Ok(answer) => break answer,
                Err(e) if attempt < tries && e.as_service_error().is_some_and(is_missing_queue) => {
                    // As for a single send: too new to be known, or deleted behind our back.
                    if was_known && attempt == 1 {
                        self.forget(sqs_queue);
                    } else {
                        self.clock.sleep(pause).await;
                    }
                    attempt += 1;
                }
                Err(e) => return Err(service_error(Service::Sqs, "SendMessageBatch", &e)),
            }
        };
        let at_of = |id: &str| id.parse::<usize>().ok().filter(|at| which.contains(at));
        let mut failed: Vec<_> = answer
            .failed()
            .iter()
            .filter_map(|entry| {
                Some((at_of(entry.id())?, entry_error("SendMessageBatch", entry), may_be_repeated(entry)))
            })
            .collect();
        // What the answer does not speak of counts as not sent: one message too many does no harm.
        let named: HashSet<usize> = answer
            .successful()
            .iter()
            .filter_map(|entry| at_of(entry.id()))
            .chain(failed.iter().map(|(at, ..)| *at))
            .collect();
        for at in which.iter().filter(|at| !named.contains(at)) {
            let error = Error::new(ErrorCode::BackendUnavailable, "SQS did not say what became of a message.");
            failed.push((*at, error, true));
        }
        Ok(failed)
    }
}
