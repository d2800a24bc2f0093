use std::collections::{BTreeSet, HashMap};

use futures::future::join_all;

use super::{Tick, TickBudget};
use crate::engine::Engine;
use crate::engine::job::effects::MAX_DELAY_MS;
use crate::store::Updated;
use crate::transport::{MAX_RECEIVE, Received, SqsQueue};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Job, State};
use ojs_model::message::JobRef;

/// What the progress note is called.
const PROGRESS: &str = "dead-letters";
/// Queues that one tick looks at. The others are looked at by the next ticks.
const QUEUES_PER_TICK: i32 = 4;
/// How long a receive hides a message, s.
const HIDDEN_S: i64 = 60;

/// What a tick did with the native dead-letter queues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Live jobs whose message was sent again.
    pub resent: usize,
    /// Messages that meant nothing any more.
    pub dropped: usize,
}

/// What is to be done with a message.
enum Fate {
    Resend(JobRef, i64),
    /// Why.
    Drop(&'static str),
    /// Its job has changed meanwhile: the message comes back after a minute.
    Keep,
}

impl Engine {
    /// Empties the native dead-letter queues of some queues, in turn: the message of a live job is sent again, any other is
    /// logged, counted and dropped. Ten messages a call; a message is deleted only once its job has a new one (I1).
    ///
    /// # Errors
    /// The AWS error; what was done stays done, and the next tick goes on.
    pub async fn redrive(&self, budget: TickBudget) -> Result<Redriven> {
        let tick = Tick::new(self, budget);
        let after = self.store.progress(PROGRESS).await?;
        let (queues, more) = self.store.list_queues(after.as_deref(), QUEUES_PER_TICK).await?;
        let next = queues.last().filter(|_| more).map(|queue| queue.name.clone());
        let (mut total, mut failure) = (Redriven::default(), None);
        for queue in &queues {
            // A queue that fails does not keep the others' (I7).
            match self.redrive_queue(&queue.name, &tick, &mut total).await {
                Ok(()) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if next != after {
            self.store.note_progress(PROGRESS, next.as_deref()).await?;
        }
        failure.map_or(Ok(total), Err)
    }

    async fn redrive_queue(&self, queue: &str, tick: &Tick<'_>, total: &mut Redriven) -> Result<()> {
        let sqs_queue = SqsQueue::dead_letters(queue);
        for round in 0.. {
            if round > 0 && !tick.has_time() {
                return Ok(());
            }
            let messages = self.transport.receive(&sqs_queue, MAX_RECEIVE, HIDDEN_S, std::time::Duration::ZERO).await?;
            if messages.is_empty() {
                return Ok(());
            }
            self.redrive_messages(&sqs_queue, &messages, total).await?;
        }
        Ok(())
    }

    async fn redrive_messages(&self, sqs_queue: &SqsQueue, messages: &[Received], total: &mut Redriven) -> Result<()> {
        // A job may be named twice, which BatchGetItem refuses.
        let ids: BTreeSet<JobId> =
            messages.iter().filter_map(|message| message.job.as_ref()).map(|job| job.id.clone()).collect();
        let ids: Vec<JobId> = ids.into_iter().collect();
        let jobs: HashMap<JobId, Job> =
            self.store.get_jobs(&ids).await?.into_iter().map(|job| (job.id.clone(), job)).collect();
        let fates = messages.iter().map(|message| {
            let job = message.job.as_ref().and_then(|job| jobs.get(&job.id));
            self.fate(message, job)
        });
        let (mut resend, mut settled, mut failure) = (Vec::new(), Vec::new(), None);
        for (message, fate) in messages.iter().zip(join_all(fates).await) {
            match fate {
                Ok(Fate::Keep) => {}
                Ok(Fate::Resend(job, delay_s)) => resend.push((message, (job, delay_s))),
                Ok(Fate::Drop(reason)) => {
                    tracing::warn!(
                        queue = sqs_queue.queue,
                        job_id = named(message),
                        reason,
                        receives = message.receives,
                        "message of the native dead-letter queue dropped"
                    );
                    settled.push((sqs_queue, message.receipt.as_str()));
                }
                // Its message stays for another tick.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let dropped = settled.len();
        let (resent, refs): (Vec<_>, Vec<_>) = resend.into_iter().unzip();
        for (message, sent) in resent.into_iter().zip(self.send_all(&refs).await) {
            match sent {
                Ok(()) => {
                    let job_id = named(message);
                    tracing::warn!(
                        queue = sqs_queue.queue,
                        job_id,
                        "live job found in the native dead-letter queue; sent again"
                    );
                    settled.push((sqs_queue, message.receipt.as_str()));
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let done = Redriven { resent: settled.len() - dropped, dropped };
        self.transport.delete_all(&settled).await?;
        self.store.count_drained(&sqs_queue.queue, done.resent, done.dropped, self.ids.nonce()).await?;
        total.resent += done.resent;
        total.dropped += done.dropped;
        failure.map_or(Ok(()), Err)
    }

    async fn fate(&self, message: &Received, job: Option<&Job>) -> Result<Fate> {
        if message.job.is_none() {
            return Ok(Fate::Drop("not a message of ours"));
        }
        // An occurrence of a cron job that has not fired is seen by the cron tick, which sends a message of its own.
        let Some(stored) = job else { return Ok(Fate::Drop("its job does not exist")) };
        let now = self.now_ms();
        let job = stored.as_of(now);
        if job.state.is_terminal() {
            if stored.state.is_terminal() {
                // Without the message nothing would finish what its end has left undone.
                self.finish_again(stored).await?;
                return Ok(Fate::Drop("its job has ended"));
            }
            // What the clock has ended is written down, as by a fetch.
            return match self.replace(stored, &job).await? {
                Updated::Done(ended) => {
                    self.conclude(&ended, None).await?;
                    Ok(Fate::Drop("its job has ended"))
                }
                Updated::Missing => Ok(Fate::Drop("its job does not exist")),
                Updated::Refused(_) | Updated::TooLarge => Ok(Fate::Keep),
            };
        }
        if job.queue != message.sqs_queue.queue {
            return Ok(Fate::Drop("its job is in another queue"));
        }
        if stored.in_due_index || job.state == State::Pending {
            return Ok(Fate::Drop("its job needs no message now"));
        }
        let wait_ms = job.wakes_at_ms().map_or(0, |at| at - now).clamp(0, MAX_DELAY_MS);
        Ok(Fate::Resend(JobRef::to(stored), wait_ms / 1_000))
    }
}

/// The id of the job that a message names; empty if it names none.
fn named(message: &Received) -> &str {
    message.job.as_ref().map_or("", |job| job.id.as_str())
}
