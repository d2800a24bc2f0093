use std::time::Duration;

use futures::future::join_all;

use super::{Engine, MAX_RACES};
use crate::error::Result;
use crate::job::{Event, Job, Lease, Refusal, State, settle, step};
use crate::store::{ClaimRequest, Updated};
use crate::transport::{JobRef, MAX_HIDDEN_S, MAX_RECEIVE, Received};

/// Most jobs one fetch may ask for.
pub const MAX_FETCH: usize = 100;
/// Most queues one fetch may name.
pub const MAX_FETCH_QUEUES: usize = 100;
/// Receives in a row per queue that may bring nothing but stale messages before the fetch moves on.
const MAX_STALE_ROUNDS: usize = 5;
/// A message whose job cannot be run yet is put back for this long, s.
const PUT_BACK_S: i64 = 1;
/// A message whose job could not be asked for is put back for as many seconds as it has been received, up to this: an
/// outage of DynamoDB must not use up the receives after which SQS takes a message for poison.
const MAX_PUT_BACK_S: i64 = 300;
/// A message younger than this may have overtaken what it announces, ms.
const YOUNG_MS: i64 = 60_000;
/// How long a put may take longer than the send that runs beside it.
const OVERTAKEN: Duration = Duration::from_millis(30);
/// How long the message of a job that waits for its activation rests, s.
const PENDING_REST_S: i64 = 900;
/// A fetch with nothing else to return waits for a job that is due within this time, ms.
const SOON_MS: i64 = 1_000;

/// A worker asks for jobs.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Queues in order of preference; 1 to [`MAX_FETCH_QUEUES`].
    pub queues: Vec<String>,
    /// Most jobs wanted; 1 to [`MAX_FETCH`].
    pub count: usize,
    /// The worker, if it says.
    pub worker_id: Option<String>,
    /// The lease's length, ms; the job's or the server's when `None`.
    pub visibility_ms: Option<i64>,
}

/// What became of a message.
enum Seen {
    /// Its job is the worker's.
    Won(Box<Job>),
    /// Its job is due at this ms, within [`SOON_MS`].
    Soon(i64, Received),
    /// Deleted or put back.
    Dropped,
}

impl Engine {
    /// Claims jobs for a worker (OJS core section 7.2): receives from each queue in turn, then one conditional update
    /// per message.
    ///
    /// With nothing to return, it waits out the last second before a job it met is due, and then asks once more with a
    /// long poll if `OJS_FETCH_WAIT_SECONDS` says so.
    ///
    /// # Errors
    /// The AWS error, if no job has been claimed; claimed jobs are always answered.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Vec<Job>> {
        let mut round = Round { engine: self, fetch: &fetch, jobs: Vec::new(), soon: Vec::new() };
        let failure = round.all_queues().await.err();
        let settled = round.wait_for_the_soonest().await;
        let polled = if round.jobs.is_empty() && failure.is_none() { round.long_poll().await } else { Ok(()) };
        let jobs = round.jobs;
        match failure.map_or(settled.and(polled), Err) {
            // Claimed jobs are under a lease: not to answer them would leave them idle until it lapses.
            Err(error) if jobs.is_empty() => Err(error),
            Err(error) => {
                tracing::warn!(%error, claimed = jobs.len(), "fetch cut short");
                Ok(jobs)
            }
            Ok(()) => Ok(jobs),
        }
    }
}

struct Round<'a> {
    engine: &'a Engine,
    fetch: &'a Fetch,
    jobs: Vec<Job>,
    soon: Vec<(i64, Received)>,
}

impl Round<'_> {
    fn wanted(&self) -> usize {
        self.fetch.count.saturating_sub(self.jobs.len())
    }

    /// How long a received message is hidden, s: never longer than the lease it is received for.
    fn hidden_s(&self) -> i64 {
        let lease_ms = self.fetch.visibility_ms.unwrap_or(self.engine.settings.visibility_timeout_ms);
        (lease_ms / 1_000).clamp(1, MAX_HIDDEN_S)
    }

    async fn all_queues(&mut self) -> Result<()> {
        for queue in &self.fetch.queues {
            for _ in 0..MAX_STALE_ROUNDS {
                let wanted = self.wanted();
                if wanted == 0 {
                    return Ok(());
                }
                let messages = self.receive(queue, wanted).await?;
                if messages.is_empty() {
                    break;
                }
                self.look_at(messages).await?;
            }
        }
        Ok(())
    }

    /// Receives up to `wanted` messages, ten a call, all calls at once.
    async fn receive(&self, queue: &str, wanted: usize) -> Result<Vec<Received>> {
        let transport = &self.engine.transport;
        let calls = (0..wanted.div_ceil(MAX_RECEIVE)).map(|i| {
            let max = (wanted - i * MAX_RECEIVE).min(MAX_RECEIVE);
            transport.receive(queue, max, self.hidden_s(), Duration::ZERO)
        });
        let mut messages = Vec::new();
        let mut failure = None;
        for answer in join_all(calls).await {
            match answer {
                Ok(more) => messages.extend(more),
                Err(error) => failure = Some(error),
            }
        }
        // Calls that run at once answer in any order.
        messages.sort_by(|a, b| (a.sent_at_ms, a.job_id()).cmp(&(b.sent_at_ms, b.job_id())));
        // What was received is in our hands, whatever became of the other calls.
        if messages.is_empty() { failure.map_or(Ok(messages), Err) } else { Ok(messages) }
    }

    /// Claims the jobs of messages, all at once; keeps their order.
    async fn look_at(&mut self, messages: Vec<Received>) -> Result<()> {
        let seen = join_all(messages.into_iter().map(|message| self.see(message))).await;
        let mut failure = None;
        for outcome in seen {
            match outcome {
                Ok(Seen::Won(job)) => self.jobs.push(*job),
                Ok(Seen::Soon(at, message)) => self.soon.push((at, message)),
                Ok(Seen::Dropped) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Claims the job of one message, or settles the message. On failure the message is put back: it must not stay
    /// hidden for the length of a lease that nobody has.
    async fn see(&self, message: Received) -> Result<Seen> {
        let (queue, receipt) = (message.queue.clone(), message.receipt.clone());
        let rest_s = message.receives.clamp(PUT_BACK_S, MAX_PUT_BACK_S);
        let seen = self.claim(message).await;
        if seen.is_err()
            && let Err(error) = self.engine.transport.hide(&queue, &receipt, rest_s).await
        {
            tracing::warn!(queue, %error, "message not put back; it returns after its visibility timeout");
        }
        seen
    }

    async fn claim(&self, message: Received) -> Result<Seen> {
        let engine = self.engine;
        let Some(JobRef { id, .. }) = message.job.clone() else {
            tracing::warn!(queue = message.queue, "a message that is not ours was dropped");
            engine.transport.delete(&message.queue, &message.receipt).await?;
            return Ok(Seen::Dropped);
        };
        let request = ClaimRequest {
            worker: self.fetch.worker_id.clone(),
            token: engine.ids.lease_token(),
            visibility_ms: self.fetch.visibility_ms,
            default_visibility_ms: engine.settings.visibility_timeout_ms,
            receipt: message.receipt.clone(),
        };
        let mut claimed = engine.store.claim_job(&id, &message.queue, &request, engine.now_ms()).await?;
        if matches!(claimed, Updated::Missing) && self.is_new(&message) {
            // Put and send run at once, and the send has won: one more look is cheaper than a second's delay.
            engine.clock.sleep(OVERTAKEN).await;
            claimed = engine.store.claim_job(&id, &message.queue, &request, engine.now_ms()).await?;
        }
        match claimed {
            Updated::Done(job) => self.won(*job, &message).await,
            Updated::Refused(stored) => self.refused(*stored, &request, message).await,
            Updated::Missing | Updated::TooLarge => self.orphan(&message).await,
        }
    }

    /// The lease is durable; the message must come back when it ends, unless it does so anyway.
    async fn won(&self, job: Job, message: &Received) -> Result<Seen> {
        let now = self.engine.now_ms();
        if let Some(lease) = &job.lease {
            let ends_s = ((lease.ends_at_ms() - now) / 1_000).clamp(1, MAX_HIDDEN_S);
            // One second less than asked is the time that this fetch itself took.
            if !(self.hidden_s() - 1..=self.hidden_s()).contains(&ends_s) {
                self.engine.hide(&job, Some(&message.receipt), ends_s).await;
            }
        }
        tracing::info!(job_id = %job.id, queue = job.queue, attempt = job.attempt, "job claimed");
        Ok(Seen::Won(Box::new(job)))
    }

    /// The item, as stored, is not claimable: the clock may have made it so, or it tells what to do with the message.
    async fn refused(&self, mut stored: Job, request: &ClaimRequest, message: Received) -> Result<Seen> {
        let engine = self.engine;
        for _ in 0..MAX_RACES {
            if stored.queue != message.queue {
                // Moved to another queue, where it has a message of its own.
                engine.transport.delete(&message.queue, &message.receipt).await?;
                return Ok(Seen::Dropped);
            }
            let now = engine.now_ms();
            match step(&stored, Event::Claim(lease(&stored, request, now)), now) {
                Ok(change) => match engine.replace(&stored, &change.job).await? {
                    Updated::Done(job) => return self.won(*job, &message).await,
                    Updated::Refused(newer) => stored = *newer,
                    Updated::Missing | Updated::TooLarge => return self.orphan(&message).await,
                },
                Err(Refusal::NotYet { at_ms }) if at_ms - now <= SOON_MS => return Ok(Seen::Soon(at_ms, message)),
                Err(Refusal::NotYet { at_ms }) => {
                    // Never deleted: it may be the only message that a running job has.
                    return self.put_back(&message, (at_ms - now) / 1_000).await;
                }
                Err(Refusal::State(State::Pending)) => {
                    let rest = if self.is_young(&message) { PUT_BACK_S } else { PENDING_REST_S };
                    return self.put_back(&message, rest).await;
                }
                Err(_) => return self.over(&stored, &message).await,
            }
        }
        self.put_back(&message, PUT_BACK_S).await
    }

    /// The job has ended: what the clock ended is written down, then the message goes.
    async fn over(&self, stored: &Job, message: &Received) -> Result<Seen> {
        let engine = self.engine;
        let ended = settle(stored, engine.now_ms());
        if !stored.state.is_terminal() {
            match engine.replace(stored, &ended).await? {
                Updated::Done(job) => {
                    tracing::info!(job_id = %job.id, queue = job.queue, expired = job.is_expired(), "job discarded");
                    engine.ended(&job, Some(&message.receipt)).await;
                    return Ok(Seen::Dropped);
                }
                // Somebody else was faster; the message tells again what is to be done.
                _ => return self.put_back(message, PUT_BACK_S).await,
            }
        }
        // An operator's retry sends the message first: this one may be its.
        if ended.dead_letter && self.is_young(message) {
            return self.put_back(message, PUT_BACK_S).await;
        }
        engine.transport.delete(&message.queue, &message.receipt).await?;
        Ok(Seen::Dropped)
    }

    /// No such job: the put may still be on its way, or was never made.
    async fn orphan(&self, message: &Received) -> Result<Seen> {
        if self.is_young(message) {
            return self.put_back(message, PUT_BACK_S).await;
        }
        tracing::info!(queue = message.queue, "the message of a job that does not exist was dropped");
        self.engine.transport.delete(&message.queue, &message.receipt).await?;
        Ok(Seen::Dropped)
    }

    async fn put_back(&self, message: &Received, hidden_s: i64) -> Result<Seen> {
        self.engine.transport.hide(&message.queue, &message.receipt, hidden_s.clamp(PUT_BACK_S, MAX_HIDDEN_S)).await?;
        Ok(Seen::Dropped)
    }

    /// Whether its put may still be under way.
    fn is_new(&self, message: &Received) -> bool {
        message.receives == 1 && self.engine.now_ms() - message.sent_at_ms < SOON_MS
    }

    fn is_young(&self, message: &Received) -> bool {
        self.engine.now_ms() - message.sent_at_ms < YOUNG_MS
    }

    /// With nothing else to return, waits until the first of the jobs that are nearly due, and claims what is due then.
    async fn wait_for_the_soonest(&mut self) -> Result<()> {
        let mut soon = std::mem::take(&mut self.soon);
        soon.sort_by_key(|(at, _)| *at);
        let mut due = Vec::new();
        if self.jobs.is_empty()
            && let Some((first, _)) = soon.first()
        {
            let wait_ms = (first - self.engine.now_ms()).clamp(0, SOON_MS);
            self.engine.clock.sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
            let now = self.engine.now_ms();
            let ready = soon.iter().take_while(|(at, _)| *at <= now).count().min(self.fetch.count);
            due = soon.drain(..ready).map(|(_, message)| message).collect();
        }
        for (_, message) in &soon {
            self.put_back(message, PUT_BACK_S).await?;
        }
        self.look_at(due).await?;
        // Claimed by somebody else meanwhile, and due again soon: not worth a second wait.
        for (_, message) in std::mem::take(&mut self.soon) {
            self.put_back(&message, PUT_BACK_S).await?;
        }
        Ok(())
    }

    /// Asks all queues once more, at once, each with a long poll; gives back what is too much.
    async fn long_poll(&mut self) -> Result<()> {
        let wait = self.engine.settings.fetch_wait;
        if wait.is_zero() {
            return Ok(());
        }
        let max = self.fetch.count.min(MAX_RECEIVE);
        let polls = self.fetch.queues.iter().map(|q| self.engine.transport.receive(q, max, self.hidden_s(), wait));
        let mut messages = Vec::new();
        let mut failure = None;
        for answer in join_all(polls).await {
            match answer {
                Ok(more) => messages.extend(more),
                Err(error) => failure = Some(error),
            }
        }
        for surplus in messages.split_off(self.fetch.count.min(messages.len())) {
            self.engine.transport.hide(&surplus.queue, &surplus.receipt, 0).await?;
        }
        self.look_at(messages).await?;
        self.wait_for_the_soonest().await?;
        failure.map_or(Ok(()), Err)
    }
}

/// The lease that a claim computed from a read takes; the fast claim builds the same in its update.
fn lease(job: &Job, request: &ClaimRequest, now: i64) -> Lease {
    let duration_ms = request.visibility_ms.or(job.visibility_timeout_ms).unwrap_or(request.default_visibility_ms);
    Lease {
        worker: request.worker.clone(),
        token: request.token.clone(),
        until_ms: now + duration_ms,
        duration_ms,
        deadline_ms: job.timeout_ms.map_or(i64::MAX, |timeout| now + timeout),
        receipt: Some(request.receipt.clone()),
    }
}
