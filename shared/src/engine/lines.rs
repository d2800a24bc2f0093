use std::sync::Arc;

use futures::stream::{self, StreamExt};

use super::Engine;
use crate::error::Result;
use crate::queue::{QueueState, nearest_tier};
use crate::transport::{JobRef, Line, MAX_BATCH};

/// Batches of messages under way at a time.
const CONCURRENCY: usize = 8;

impl Engine {
    /// The SQS queue of an OJS queue's jobs of one priority. A priority that this process has not met is noted in the
    /// table, once: fetches know by that what to ask. Priority 0 needs no note.
    ///
    /// # Errors
    /// The AWS error.
    pub(super) async fn line_of(&self, queue: &str, priority: i64) -> Result<Line> {
        if priority == 0 {
            return Ok(Line::jobs(queue));
        }
        if let Some(tier) = self.known.tier(queue, priority) {
            return Ok(Line::tier(queue, tier));
        }
        let now = self.now_ms();
        let state = self.store.add_tier(queue, priority).await?;
        let tier = nearest_tier(priority, &state.tiers);
        if tier != priority {
            tracing::info!(queue, priority, tier, "too many priorities in use; jobs join the next lower one");
        }
        self.known.note_tier(queue, priority, tier);
        self.known.note_state(queue, Arc::new(state), now);
        Ok(Line::tier(queue, tier))
    }

    /// Looks up all that a send to this queue and priority needs, so that the send itself is one call. Creates the SQS queue if
    /// need be.
    ///
    /// # Errors
    /// The AWS error.
    pub(super) async fn find_line(&self, queue: &str, priority: i64) -> Result<()> {
        let line = self.line_of(queue, priority).await?;
        self.transport.find_or_create(&line).await
    }

    /// Sends one message about a job to where its queue and priority say.
    ///
    /// # Errors
    /// The AWS error; the message may have been sent.
    pub async fn send(&self, job: &JobRef, delay_s: i64) -> Result<()> {
        let line = self.line_of(&job.queue, job.priority).await?;
        self.transport.send(&line, job, delay_s).await?;
        self.known.note_sent(&line);
        Ok(())
    }

    /// Sends messages about jobs to where their queues and priorities say, ten a call, each with its delay in s; those of one
    /// SQS queue in their order. Answers what became of each, in order.
    pub(super) async fn send_all(&self, messages: &[(JobRef, i64)]) -> Vec<Result<()>> {
        let mut answers: Vec<Option<Result<()>>> = messages.iter().map(|_| None).collect();
        let mut lines: Vec<(Line, Vec<usize>)> = Vec::new();
        for (at, (job, _)) in messages.iter().enumerate() {
            match self.line_of(&job.queue, job.priority).await {
                Ok(line) => match lines.iter_mut().find(|(known, _)| *known == line) {
                    Some((_, places)) => places.push(at),
                    None => lines.push((line, vec![at])),
                },
                Err(error) => answers[at] = Some(Err(error)),
            }
        }
        let chunks: Vec<_> = lines
            .iter()
            .flat_map(|(line, places)| {
                // Order on a FIFO queue is the order of the calls.
                let size = if self.transport.is_fifo() { places.len() } else { MAX_BATCH };
                places.chunks(size.max(1)).map(move |places| (line, places))
            })
            .map(|(line, places)| async move {
                let batch: Vec<_> = places.iter().map(|at| messages[*at].clone()).collect();
                let sent = self.transport.send_batch(line, &batch).await;
                self.known.note_sent(line);
                places.iter().copied().zip(sent).collect::<Vec<_>>()
            })
            .collect();
        let mut chunks = stream::iter(chunks).buffer_unordered(CONCURRENCY);
        while let Some(chunk) = chunks.next().await {
            for (at, sent) in chunk {
                answers[at] = Some(sent);
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Ok(()))).collect()
    }

    /// The states of queues, in their order, none older than a second: one read of those that are not remembered.
    ///
    /// # Errors
    /// The AWS error.
    pub(super) async fn queue_states(&self, queues: &[String]) -> Result<Vec<Arc<QueueState>>> {
        let now = self.now_ms();
        let mut states: Vec<_> = queues.iter().map(|queue| self.known.state(queue, now)).collect();
        let unknown: Vec<&str> =
            queues.iter().zip(&states).filter(|(_, state)| state.is_none()).map(|(queue, _)| queue.as_str()).collect();
        if !unknown.is_empty() {
            let found = self.store.queue_states(&unknown).await?;
            let mut found: std::collections::HashMap<_, _> = found.into_iter().collect();
            for (queue, state) in queues.iter().zip(&mut states).filter(|(_, state)| state.is_none()) {
                let read = Arc::new(found.remove(queue).unwrap_or_default());
                self.known.note_state(queue, Arc::clone(&read), now);
                *state = Some(read);
            }
        }
        Ok(states.into_iter().flatten().collect())
    }
}
