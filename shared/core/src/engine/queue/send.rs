use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::stream::{self, FuturesUnordered, StreamExt};

use crate::engine::Engine;
use crate::transport::{MAX_BATCH, SqsQueue};
use ojs_model::error::{Error, Result};
use ojs_model::message::JobRef;
use ojs_model::queue::{QueueState, nearest_tier};

/// Batches of messages, or writes about queues, under way at a time.
const CONCURRENCY: usize = 8;
/// SQS queues that are made at a time: three calls each, one after the other.
const CREATIONS: usize = 16;
/// How long a batch of messages waits for the one before it. SQS takes about 20 ms for one, so that eight under way are this far
/// apart anyway; a local SQS takes less, and then they go one after the other.
const GAP: Duration = Duration::from_millis(2);

impl Engine {
    /// The SQS queue of an OJS queue's jobs of one priority. A priority that this process has not met is noted in the
    /// table, once: fetches know by that what to ask. Priority 0 needs no note.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::engine) async fn sqs_queue_of(&self, queue: &str, priority: i64) -> Result<SqsQueue> {
        if priority == 0 {
            return Ok(SqsQueue::jobs(queue));
        }
        if let Some(tier) = self.queue_cache.tier(queue, priority) {
            return Ok(SqsQueue::tier(queue, tier));
        }
        self.note_tiers(queue, &[priority]).await?;
        Ok(SqsQueue::tier(queue, self.queue_cache.tier(queue, priority).unwrap_or(0)))
    }

    /// Decides which tiers the jobs of a queue and these priorities join: one write for all of them.
    async fn note_tiers(&self, queue: &str, priorities: &[i64]) -> Result<()> {
        let now = self.now_ms();
        let state = self.store.add_tiers(queue, priorities).await?;
        for priority in priorities {
            let tier = nearest_tier(*priority, &state.tiers);
            if tier != *priority {
                tracing::info!(queue, priority, tier, "too many priorities in use; jobs join another one's");
            }
            self.queue_cache.note_tier(queue, *priority, tier);
        }
        self.queue_cache.note_state(queue, Arc::new(state), now);
        Ok(())
    }

    /// The SQS queues of jobs, in their order: one write for each OJS queue with priorities that this process has not met.
    async fn sqs_queues_of(&self, jobs: &[(JobRef, i64)]) -> Vec<Result<SqsQueue>> {
        let mut unknown: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (job, _) in jobs {
            if job.priority != 0 && self.queue_cache.tier(&job.queue, job.priority).is_none() {
                let priorities = unknown.entry(&job.queue).or_default();
                if !priorities.contains(&job.priority) {
                    priorities.push(job.priority);
                }
            }
        }
        let each: Vec<_> = unknown
            .into_iter()
            .map(|(queue, priorities)| async move { (queue, self.note_tiers(queue, &priorities).await) })
            .collect();
        let noted: Vec<_> = stream::iter(each).buffer_unordered(CONCURRENCY).collect().await;
        let failed: HashMap<&str, Error> =
            noted.into_iter().filter_map(|(queue, noted)| Some((queue, noted.err()?))).collect();
        let mut sqs_queues = Vec::with_capacity(jobs.len());
        for (job, _) in jobs {
            sqs_queues.push(match failed.get(job.queue.as_str()) {
                Some(error) if job.priority != 0 => Err(error.clone()),
                _ => self.sqs_queue_of(&job.queue, job.priority).await,
            });
        }
        sqs_queues
    }

    /// Looks up all that a send to this queue and priority needs, so that the send itself is one call. Creates the SQS queue if
    /// need be.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::engine) async fn find_sqs_queue(&self, queue: &str, priority: i64) -> Result<()> {
        let sqs_queue = self.sqs_queue_of(queue, priority).await?;
        self.transport.find_or_create(&sqs_queue).await
    }

    /// Sends one message about a job to where its queue and priority say.
    ///
    /// # Errors
    /// The AWS error; the message may have been sent.
    pub async fn send(&self, job: &JobRef, delay_s: i64) -> Result<()> {
        let sqs_queue = self.sqs_queue_of(&job.queue, job.priority).await?;
        self.transport.send(&sqs_queue, job, delay_s).await?;
        self.queue_cache.note_sent(&sqs_queue);
        Ok(())
    }

    /// Sends messages about jobs to where their queues and priorities say, ten a call, each with its delay in s; those of one
    /// SQS queue in their order, as far as SQS keeps it. Answers what became of each, in order.
    pub(in crate::engine) async fn send_all(&self, messages: &[(JobRef, i64)]) -> Vec<Result<()>> {
        let mut answers: Vec<Option<Result<()>>> = messages.iter().map(|_| None).collect();
        let mut sqs_queues: Vec<(SqsQueue, Vec<usize>)> = Vec::new();
        for (at, sqs_queue) in self.sqs_queues_of(messages).await.into_iter().enumerate() {
            match sqs_queue {
                Ok(sqs_queue) => match sqs_queues.iter_mut().find(|(known, _)| *known == sqs_queue) {
                    Some((_, places)) => places.push(at),
                    None => sqs_queues.push((sqs_queue, vec![at])),
                },
                Err(error) => answers[at] = Some(Err(error)),
            }
        }
        self.make_queues(&sqs_queues).await;
        let calls: Vec<_> = sqs_queues
            .iter()
            .flat_map(|(sqs_queue, places)| {
                // Order on a FIFO queue is the order of the calls.
                let size = if self.transport.is_fifo() { places.len() } else { MAX_BATCH };
                places.chunks(size.max(1)).map(move |places| (sqs_queue, places))
            })
            .map(|(sqs_queue, places)| async move {
                let batch: Vec<_> = places.iter().map(|at| messages[*at].clone()).collect();
                let sent = self.transport.send_batch(sqs_queue, &batch).await;
                self.queue_cache.note_sent(sqs_queue);
                places.iter().copied().zip(sent).collect::<Vec<_>>()
            })
            .collect();
        // Real time, whatever the engine's clock is: it is the network that the calls race through.
        let pause = || tokio::time::sleep(GAP);
        for (at, sent) in in_order(calls, CONCURRENCY, pause).await.into_iter().flatten() {
            answers[at] = Some(sent);
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Ok(()))).collect()
    }

    /// Finds or makes the SQS queues that this process does not know, several at once: sends that wait for their queue would
    /// lose their order. What fails, fails again at the send.
    async fn make_queues(&self, sqs_queues: &[(SqsQueue, Vec<usize>)]) {
        let unknown =
            sqs_queues.iter().map(|(sqs_queue, _)| sqs_queue).filter(|sqs_queue| !self.transport.knows(sqs_queue));
        let each: Vec<_> = unknown.map(|sqs_queue| self.transport.find_or_create(sqs_queue)).collect();
        stream::iter(each).buffer_unordered(CREATIONS).for_each(|made| async move { drop(made) }).await;
    }

    /// Those of these queues that are paused, none of it older than a second.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::engine) async fn paused_among(&self, queues: impl Iterator<Item = &str>) -> Result<HashSet<String>> {
        let queues: BTreeSet<&str> = queues.collect();
        let queues: Vec<String> = queues.into_iter().map(str::to_owned).collect();
        let states = self.queue_states(&queues).await?;
        Ok(queues
            .into_iter()
            .zip(states)
            .filter(|(_, state)| state.paused_at.is_some())
            .map(|(queue, _)| queue)
            .collect())
    }

    /// The states of queues, in their order, none older than a second: one read of those that are not remembered.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::engine) async fn queue_states(&self, queues: &[String]) -> Result<Vec<Arc<QueueState>>> {
        let now = self.now_ms();
        let mut states: Vec<_> = queues.iter().map(|queue| self.queue_cache.state(queue, now)).collect();
        let unknown: Vec<&str> =
            queues.iter().zip(&states).filter(|(_, state)| state.is_none()).map(|(queue, _)| queue.as_str()).collect();
        if !unknown.is_empty() {
            let found = self.store.queue_states(&unknown).await?;
            let mut found: std::collections::HashMap<_, _> = found.into_iter().collect();
            for (queue, state) in queues.iter().zip(&mut states).filter(|(_, state)| state.is_none()) {
                let read = Arc::new(found.remove(queue).unwrap_or_default());
                self.queue_cache.note_state(queue, Arc::clone(&read), now);
                *state = Some(read);
            }
        }
        Ok(states.into_iter().flatten().collect())
    }
}

/// Runs calls so that they arrive in their order, without waiting for each other's answers for long: each starts when the one
/// before it has ended, or a `pause` after that has started; `most` at a time. Answers what they answered, in no order.
async fn in_order<F: Future, P: Future>(calls: Vec<F>, most: usize, pause: impl Fn() -> P) -> Vec<F::Output> {
    let (mut running, mut answers) = (FuturesUnordered::new(), Vec::with_capacity(calls.len()));
    for (at, call) in calls.into_iter().enumerate() {
        running.push(async move { (at, call.await) });
        let mut pause = pin!(pause());
        let (mut is_due, mut is_answered) = (false, false);
        while !(is_answered || is_due && running.len() < most) {
            let next = if is_due {
                running.next().await
            } else {
                match select(running.next(), &mut pause).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => {
                        is_due = true;
                        continue;
                    }
                }
            };
            let Some((answered, answer)) = next else { break };
            is_answered = answered == at;
            answers.push(answer);
        }
    }
    answers.extend(running.map(|(_, answer)| answer).collect::<Vec<_>>().await);
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::future::{pending, ready};

    /// The order in which 20 calls start, and how many of them are under way at once at most. Each ends when `waits_for` are
    /// under way, or all have started.
    async fn run<P: Future>(waits_for: usize, pause: impl Fn() -> P) -> (Vec<usize>, usize) {
        let (starts, under_way, most) = (RefCell::new(Vec::new()), Cell::new(0), Cell::new(0));
        let calls = (0..20).map(|at| {
            let (starts, under_way, most) = (&starts, &under_way, &most);
            async move {
                starts.borrow_mut().push(at);
                under_way.set(under_way.get() + 1);
                most.set(most.get().max(under_way.get()));
                while most.get() < waits_for && starts.borrow().len() < 20 {
                    tokio::task::yield_now().await;
                }
                tokio::task::yield_now().await;
                under_way.set(under_way.get() - 1);
                at
            }
        });
        let mut answered = in_order(calls.collect(), CONCURRENCY, pause).await;
        answered.sort_unstable();
        assert_eq!(answered, (0..20).collect::<Vec<_>>());
        (starts.into_inner(), most.get())
    }

    #[tokio::test]
    async fn calls_quicker_than_the_pause_go_one_after_the_other() {
        assert_eq!(run(1, pending::<()>).await, ((0..20).collect(), 1));
    }

    #[tokio::test]
    async fn slow_calls_start_in_their_order_and_do_not_wait_for_answers() {
        assert_eq!(run(CONCURRENCY, || ready(())).await, ((0..20).collect(), CONCURRENCY));
    }
}
