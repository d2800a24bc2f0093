//! Looks at one message: claims its job, or says whether the fetch deletes the message, puts it back or keeps it in hand.

use std::collections::HashMap;
use std::time::Duration;

use crate::engine::cron::fire::{Fire, Outcome};
use crate::engine::job::effects::Wake;
use crate::engine::limit::acquire::{HOLD_MS, Start};
use crate::engine::limit::rest::rest_s;
use crate::engine::{Engine, Fetch, MAX_RACES};
use crate::observe::{metrics, trace};
use crate::store::{ClaimRequest, Updated};
use crate::transport::Received;
use ojs_model::batch::Visibility;
use ojs_model::error::{ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Job, Lease, State, settle};
use ojs_model::limit::{Limited, Limits, OnLimit, Place, Waiting};
use ojs_model::message::{
    CronTime, Disposition, JobRef, MAX_DELAY_S, MAX_HIDDEN_S, MessageFacts, PENDING_HIDE_S, PUT_BACK_S, SOON_MS,
    disposition, is_young,
};
use ojs_model::queue::QueueConfig;

/// A message received more often than this makes way for a new one: SQS takes one for poison after 1,000 receives, and
/// a long outage, a worker that keeps giving its job back, or many lapses must not bring a live job there.
const MAX_RECEIVES: i64 = 500;
/// A message older than this makes way for a new one when it is put back, ms: SQS deletes it after 14 days.
const OLD_MS: i64 = 7 * 86_400_000;
/// How long a put may take longer than the send that runs beside it.
const OVERTAKEN: Duration = Duration::from_millis(30);
/// How long at most the message of a job that waits for another one rests, s.
const MAX_BEHIND_S: i64 = 60;

/// A job that its limit keeps from starting, nobody knows for how long, and that is to be rescheduled, is for so long, ms.
const RESCHEDULE_MS: i64 = 5_000;
/// A message is put back for this long at most because of a limit, s: an operator may lift it.
const MAX_LIMITED_S: i64 = 60;

/// What came of a look at a message. The fetch settles the messages of one receive together: see [`settle`](crate::engine::worker).
pub(in crate::engine) enum Seen {
    /// Its job is the worker's; hidden for so many seconds from now, where the receive hides it for too long or too short.
    Won(Box<Job>, Option<i64>),
    /// Its job is due at this ms, within [`SOON_MS`].
    Soon(i64),
    /// A rate limit keeps its job from starting, for less than a second: given back when the fetch is over, so that it does
    /// not receive it again.
    Kept,
    /// A rate limit keeps its job from starting, and its message is settled.
    Limited,
    /// A rate limit keeps its job from starting: to be put back for so many seconds.
    LimitedFor(i64),
    /// The limit with this key keeps its job from starting, which is parked: to be deleted once the limit's state says so.
    Parked(Box<(String, Limits)>),
    /// A limit of the whole queue keeps all its jobs from starting.
    Shut,
    /// Settled, or left to be.
    Gone,
    /// It means nothing any more: to be deleted.
    Stale,
    /// To be put back for so many seconds.
    Back(i64),
}

impl Seen {
    fn back(hidden_s: i64) -> Self {
        Self::Back(hidden_s.clamp(PUT_BACK_S, MAX_HIDDEN_S))
    }

    /// Of a message that needs no job.
    fn of(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Keep { due_at_ms } => Self::Soon(due_at_ms),
            Disposition::Hide { seconds } => Self::Back(seconds),
            _ => Self::Stale,
        }
    }
}

/// What came of the message of a cron occurrence.
enum Woken {
    /// The message is settled.
    Seen(Seen),
    /// The occurrence is over: its job is there, if it made one.
    Over,
}

/// A fetch, as its messages see it.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Sight<'a> {
    pub(in crate::engine) engine: &'a Engine,
    pub(in crate::engine) fetch: &'a Fetch,
    /// How long the receive has hidden the messages, s.
    pub(in crate::engine) hidden_s: i64,
    /// Configurations of the queues that have one.
    pub(in crate::engine) configs: &'a HashMap<&'a str, QueueConfig>,
}

impl Sight<'_> {
    /// Claims the job of one message, or says what to do with the message. `read` is what a read just now says of the job,
    /// as a refused claim would.
    ///
    /// # Errors
    /// The AWS error; the message is to be put back.
    pub(in crate::engine) async fn see(&self, message: &Received, read: Option<Updated>) -> Result<Seen> {
        if message.receives > MAX_RECEIVES {
            return self.renew(message).await;
        }
        // Ten of them at once are large, and live on the stack of a debug build.
        let seen = Box::pin(self.claim(message, read)).await?;
        match seen {
            Seen::Back(hidden_s) if self.is_old(message) => self.renew_hidden(message, hidden_s).await,
            Seen::Won(mut job, hidden_s) => match Box::pin(self.engine.add_results(&mut job)).await {
                Ok(()) => Ok(Seen::Won(job, hidden_s)),
                Err(error) => {
                    // The worker must not take it for a job without results.
                    self.engine.unclaim(std::slice::from_ref(&job)).await;
                    Err(error)
                }
            },
            seen => Ok(seen),
        }
    }

    /// A new message takes the place of an old one that is to be hidden, before SQS drops the old one for its age.
    async fn renew_hidden(&self, message: &Received, hidden_s: i64) -> Result<Seen> {
        if let Some(job) = &message.job {
            self.engine.transport.send(&message.line, job, hidden_s.min(MAX_DELAY_S)).await?;
        }
        Ok(Seen::Stale)
    }

    /// A new message for the same job takes the place of one that has been received too often.
    async fn renew(&self, message: &Received) -> Result<Seen> {
        if let Some(job) = &message.job {
            tracing::warn!(job_id = %job.id, queue = message.line.queue, receives = message.receives, "message renewed");
            // To where it came from: a job that has moved has a message of its own there.
            self.engine.transport.send(&message.line, job, 0).await?;
        }
        Ok(Seen::Stale)
    }

    async fn claim(&self, message: &Received, read: Option<Updated>) -> Result<Seen> {
        let engine = self.engine;
        let Some(JobRef { id, due_at, limit, wakes, .. }) = message.job.clone() else {
            tracing::warn!(queue = message.line.queue, "a message that is not ours was dropped");
            return Ok(Seen::Stale);
        };
        // SQS delays for whole seconds, so the message of a job that waits comes a little early.
        if let Some(due) = due_at.filter(|due| *due > engine.now_ms()) {
            return Ok(self.not_yet(due));
        }
        let config = self.config(message);
        if let Some(limited) = limit.as_deref().and_then(|key| self.known_refusal(key, message)) {
            return Ok(self.wait_for_limit(&limited));
        }
        let request = ClaimRequest {
            worker: self.fetch.worker_id.clone(),
            token: engine.ids.lease_token(),
            visibility_ms: self.fetch.visibility_ms,
            default_visibility_ms: config
                .visibility_timeout
                .map_or(engine.settings.visibility_timeout_ms, |seconds| seconds * 1_000),
            default_timeout_ms: config.default_timeout.map(|seconds| seconds * 1_000),
            retention: config.retention,
            receipt: message.receipt(),
        };
        // The fast claim knows no limits.
        let limited = limit.is_some() || !config.limits.is_empty();
        // The job of a cron occurrence is made by whoever looks first; later deliveries find it made.
        let mut woken = None;
        if let Some(time) = wakes.as_ref().filter(|_| message.receives == 1) {
            woken = Some(self.wake(message, time).await?);
        }
        if let Some(Woken::Seen(seen)) = woken {
            return Ok(seen);
        }
        let mut claimed = match read {
            Some(read) => read,
            None => self.try_claim(&id, message, &request, limited).await?,
        };
        if let Some(time) = &wakes {
            if matches!(claimed, Updated::Missing) && woken.is_none() {
                woken = Some(self.wake(message, time).await?);
                if let Some(Woken::Seen(seen)) = woken {
                    return Ok(seen);
                }
                claimed = self.try_claim(&id, message, &request, limited).await?;
            }
            if matches!(claimed, Updated::Missing) {
                // The occurrence is over and made no job, or its job is forgotten, or the cron job is deleted.
                return Ok(Seen::Stale);
            }
        } else if matches!(claimed, Updated::Missing) && self.is_new(message) {
            // Put and send run at once, and the send has won: one more look is cheaper than a second's delay.
            engine.clock.sleep(OVERTAKEN).await;
            claimed = self.try_claim(&id, message, &request, limited).await?;
        }
        match claimed {
            Updated::Done(job) => Ok(self.won(*job)),
            Updated::Refused(stored) => self.refused(*stored, &request, message).await,
            // Computed from the item, the claim makes room by shortening its history.
            Updated::TooLarge => match engine.store.get_job(&id).await? {
                Some(stored) => self.refused(stored, &request, message).await,
                None => Ok(self.orphan(message)),
            },
            Updated::Missing => Ok(self.orphan(message)),
        }
    }

    /// How long a message rests whose job could not be asked for, s.
    pub(in crate::engine) fn rest_s(&self, message: &Received, code: ErrorCode) -> i64 {
        let has_limit =
            !self.config(message).limits.is_empty() || message.job.as_ref().is_some_and(|job| job.limit.is_some());
        rest_s(code, message.receives, has_limit)
    }

    /// The configuration of a message's queue.
    fn config(&self, message: &Received) -> QueueConfig {
        self.configs.get(message.line.queue.as_str()).copied().unwrap_or_default()
    }

    /// The fast claim; with a limit to be asked before, a read in its place. When its answer is lost for good, one read
    /// tells whether it took effect: the job would idle under a lease that nobody knows.
    async fn try_claim(
        &self,
        id: &JobId,
        message: &Received,
        request: &ClaimRequest,
        limited: bool,
    ) -> Result<Updated> {
        let engine = self.engine;
        if limited {
            let stored = engine.store.get_job(id).await?;
            return Ok(stored.map_or(Updated::Missing, |stored| Updated::Refused(Box::new(stored))));
        }
        match engine.store.claim_job(id, &message.line.queue, request, engine.now_ms()).await {
            Err(error) => match engine.store.get_job(id).await {
                Ok(Some(job)) if job.lease.as_ref().is_some_and(|lease| lease.token == request.token) => {
                    Ok(Updated::Done(Box::new(job)))
                }
                _ => Err(error),
            },
            claimed => claimed,
        }
    }

    /// The message of a cron occurrence whose job may not have been made.
    async fn wake(&self, message: &Received, time: &CronTime) -> Result<Woken> {
        let engine = self.engine;
        if time.at_ms > engine.now_ms() {
            return Ok(Woken::Seen(self.not_yet(time.at_ms)));
        }
        let Some(cron) = engine.store.get_cron(&time.name).await? else { return Ok(Woken::Over) };
        match cron.next_run_at {
            // An earlier occurrence has not fired yet, and this one must not before it.
            Some(next) if next < time.at_ms => Ok(Woken::Seen(Seen::back(PUT_BACK_S))),
            Some(next) if next == time.at_ms => {
                if cron.definition.template.queue != message.line.queue {
                    // It was moved to another queue, and has a message there or fires by the tick.
                    return Ok(Woken::Seen(Seen::Stale));
                }
                match engine.fire(cron, Some(time.at_ms)).await {
                    Ok(Fire::Over { at_ms, outcome: Outcome::Skipped, .. }) if at_ms == time.at_ms => {
                        Ok(Woken::Seen(Seen::Stale))
                    }
                    // What fired may be another occurrence than this message's, which somebody else fired: the claim tells.
                    Ok(Fire::Over { .. } | Fire::NotDue | Fire::Gone) => Ok(Woken::Over),
                    Ok(Fire::Raced) => Ok(Woken::Seen(Seen::back(PUT_BACK_S))),
                    Err(error) if error.code == ErrorCode::InternalError => {
                        // It cannot fire until its definition is mended, and must not keep others' jobs back (I7).
                        Ok(Woken::Seen(Seen::back(self.rest_s(message, error.code))))
                    }
                    Err(error) => Err(error),
                }
            }
            _ => Ok(Woken::Over),
        }
    }

    /// The item has no room for what must be written; the job stays as it is until an operator mends it.
    fn does_not_fit(job: &Job) -> Seen {
        tracing::error!(job_id = %job.id, "the job's item is full; it cannot be claimed");
        Seen::back(PENDING_HIDE_S)
    }

    /// The lease is durable; the message must come back when it ends, unless it does so anyway.
    fn won(&self, job: Job) -> Seen {
        let now = self.engine.now_ms();
        let mut hidden_s = None;
        if let Some(lease) = &job.lease {
            let ends_s = ((lease.ends_at_ms() - now) / 1_000).clamp(1, MAX_HIDDEN_S);
            // A message that comes back before the lease's end is put back by the fetch that meets it. One second less
            // than the receive's is the time that this fetch itself took.
            // On a FIFO queue it must not come back before: only the latest receipt deletes it.
            let too_short = self.engine.transport.is_fifo() && ends_s > self.hidden_s;
            if ends_s < self.hidden_s - 1 || too_short {
                hidden_s = Some(ends_s);
            }
        }
        metrics::job_started(&job, now);
        trace::meet(&job);
        let worker_id = job.lease.as_ref().and_then(|lease| lease.worker.as_deref());
        tracing::info!(job_id = %job.id, queue = job.queue, attempt = job.attempt, worker_id, "job claimed");
        Seen::Won(Box::new(job), hidden_s)
    }

    /// Does what the message means for its job, which was read or has refused the fast claim: decides anew whenever the job
    /// has changed in between.
    async fn refused(&self, mut stored: Job, request: &ClaimRequest, message: &Received) -> Result<Seen> {
        let mut facts = self.facts(message);
        for _ in 0..MAX_RACES {
            let now = self.engine.now_ms();
            // Only on a FIFO queue, where jobs wait in the due index for seconds, can a message come before the commit.
            if facts.is_fifo {
                facts.batch = self.engine.visibility(&stored).await?;
            }
            let written = match disposition(&facts, &stored, lease(&stored, request, now), now) {
                Disposition::Claim(claimed) => {
                    match self.claim_limited(&stored, *claimed, request, message, now).await? {
                        Ok(written) => written,
                        Err(refused) => return self.limited(&stored, refused, message).await,
                    }
                }
                Disposition::End(ended) => self.engine.replace(&stored, &ended).await?,
                Disposition::MoveToDueIndex(Some(waiting)) => self.engine.replace(&stored, &waiting).await?,
                Disposition::AskPredecessor(on) => match self.rest_behind(&on, now).await? {
                    Some(rest_s) => return Ok(Seen::back(rest_s)),
                    None => {
                        facts.predecessor_ended = true;
                        continue;
                    }
                },
                Disposition::FinishEnd { hide } => return self.finish_end(&stored, hide).await,
                Disposition::MoveToDueIndex(None) | Disposition::Delete => return Ok(Seen::Stale),
                Disposition::Keep { due_at_ms } => return Ok(Seen::Soon(due_at_ms)),
                Disposition::Hide { seconds } => return Ok(Seen::Back(seconds)),
            };
            match written {
                Updated::Done(job) => return Ok(self.written(*job, message).await),
                Updated::Refused(newer) => stored = *newer,
                Updated::Missing => return Ok(self.orphan(message)),
                Updated::TooLarge => return Ok(Self::does_not_fit(&stored)),
            }
        }
        Ok(Seen::back(PUT_BACK_S))
    }

    fn facts<'m>(&self, message: &'m Received) -> MessageFacts<'m> {
        MessageFacts {
            queue: &message.line.queue,
            sent_at_ms: message.sent_at_ms,
            is_fifo: self.engine.transport.is_fifo(),
            batch: Visibility::There,
            predecessor_ended: false,
        }
    }

    /// What follows from the write that a disposition asked for.
    async fn written(&self, job: Job, message: &Received) -> Seen {
        if job.state == State::Active {
            return self.won(job);
        }
        if job.state.is_terminal() {
            tracing::info!(job_id = %job.id, queue = job.queue, state = job.state.as_str(), expired = job.is_expired(), "job ended");
            self.engine.ended(&job, Some(&message.receipt())).await;
            return Seen::Gone;
        }
        // It is in the due index, and the scheduler sends its next message.
        Seen::Stale
    }

    /// Claims a job under its limits: acquires them first, and rolls them back unless the claim is written.
    async fn claim_limited(
        &self,
        stored: &Job,
        mut claimed: Job,
        request: &ClaimRequest,
        message: &Received,
        now: i64,
    ) -> Result<std::result::Result<Updated, Refused>> {
        let starts = match self.start(&claimed, message, now).await? {
            Ok(starts) => starts,
            Err(refused) => return Ok(Err(refused)),
        };
        claimed.retention = request.retention;
        claimed.holds = starts.iter().filter_map(Start::held).map(str::to_owned).collect();
        let written = self.claim_computed(stored, &claimed).await;
        if !matches!(written, Ok(Updated::Done(_))) {
            self.engine.forget_starts(&starts).await;
        }
        written.map(Ok)
    }

    /// The same as the fast claim where the answer is lost.
    async fn claim_computed(&self, stored: &Job, claimed: &Job) -> Result<Updated> {
        let token = |job: &Job| job.lease.as_ref().map(|lease| lease.token.clone());
        match self.engine.replace(stored, claimed).await {
            Err(error) => match self.engine.store.get_job(&stored.id).await {
                Ok(Some(job)) if token(&job).is_some() && token(&job) == token(claimed) => {
                    Ok(Updated::Done(Box::new(job)))
                }
                _ => Err(error),
            },
            done => done,
        }
    }

    /// Asks the limits of a job's queue and its own for a start; all must grant it.
    async fn start(
        &self,
        claimed: &Job,
        message: &Received,
        now: i64,
    ) -> Result<std::result::Result<Vec<Start>, Refused>> {
        let config = self.config(message);
        let of_queue = (!config.limits.is_empty()).then(|| (queue_key(&message.line.queue), config.limits, None));
        let own = claimed.limit.as_ref().map(|own| (own.key.to_string(), own.limits, Some(own.on_limit)));
        // Believed for a while only: should this process die before the claim, its slots are free soon.
        let until = claimed.lease.as_ref().map_or(now, Lease::ends_at_ms).min(now + HOLD_MS);
        let holder = claimed.holder(claimed.attempt);
        let mut starts = Vec::new();
        for (key, limits, on_limit) in of_queue.into_iter().chain(own) {
            match self.engine.start_under(&key, &limits, &holder, until, now).await {
                Ok(Ok(start)) => starts.push(start),
                Ok(Err(limited)) => {
                    self.engine.forget_starts(&starts).await;
                    return Ok(Err(Refused { key, limited, on_limit }));
                }
                Err(error) => {
                    self.engine.forget_starts(&starts).await;
                    return Err(error);
                }
            }
        }
        Ok(Ok(starts))
    }

    /// A limit keeps the job from starting: what its policy wants then (rate limiting section 6.2).
    async fn limited(&self, stored: &Job, refused: Refused, message: &Received) -> Result<Seen> {
        let (engine, now) = (self.engine, self.engine.now_ms());
        let Refused { key, limited, on_limit } = refused;
        let mut changed = settle(stored, now).into_owned();
        match on_limit {
            // Of the queue: none of its jobs can start.
            None => return Ok(Seen::Shut),
            Some(OnLimit::Wait) => return self.park_or_wait(stored, &key, &limited, message).await,
            Some(OnLimit::Reschedule) => {
                changed.reschedule(start_at(&limited).unwrap_or(now + RESCHEDULE_MS));
                changed.in_due_index = engine.wake(changed.due_at, now) == Wake::DueIndex;
            }
            Some(OnLimit::Drop) => changed.drop_for_limit(&key, now),
        }
        let Updated::Done(job) = engine.replace(stored, &changed).await? else {
            return Ok(Seen::back(PUT_BACK_S));
        };
        tracing::info!(job_id = %job.id, key, state = job.state.as_str(), "job kept from starting by its rate limit");
        let receipt = message.receipt();
        match job.state {
            State::Scheduled => engine.waits(&job, Some(&receipt), now).await?,
            _ => engine.ended(&job, Some(&receipt)).await,
        }
        Ok(Seen::Limited)
    }

    /// The refusal that is remembered of a key, where it decides: a job that may have to be parked is read first.
    fn known_refusal(&self, key: &str, message: &Received) -> Option<Limited> {
        let now = self.engine.now_ms();
        let limited = self.engine.limiters.refusal(key, now)?;
        let parks = self.waiting(key, &limited, Place::Queue, message, now).parks();
        (!parks).then_some(limited)
    }

    fn waiting(&self, key: &str, limited: &Limited, place: Place, message: &Received, now: i64) -> Waiting {
        Waiting {
            on_limit: OnLimit::Wait,
            is_fifo: self.engine.transport.is_fifo(),
            receives: message.receives,
            is_behind_parked: self.engine.limiters.has_parked(key),
            place,
            wait_ms: start_at(limited).map(|at| at - now),
        }
    }

    /// The job waits for its limit: for a while with its message, then without.
    async fn park_or_wait(&self, stored: &Job, key: &str, limited: &Limited, message: &Received) -> Result<Seen> {
        let (engine, now) = (self.engine, self.engine.now_ms());
        let Some(policy) = &stored.limit else { return Ok(self.wait_for_limit(limited)) };
        let place = match &stored.parked {
            None => Place::Queue,
            Some(parked) if parked.send_at_ms > now => Place::Released,
            Some(_) => Place::Parked,
        };
        if !self.waiting(key, limited, place, message, now).parks() {
            return Ok(self.wait_for_limit(limited));
        }
        if !engine.park(stored, key, now).await? {
            return Ok(Seen::back(PUT_BACK_S));
        }
        tracing::debug!(job_id = %stored.id, key, "job parked: it waits for its rate limit");
        Ok(Seen::Parked(Box::new((key.to_owned(), policy.limits))))
    }

    /// The message comes back when the limit is expected to let its job start; a job that waits for a slot is looked at
    /// again in a second.
    fn wait_for_limit(&self, limited: &Limited) -> Seen {
        let now = self.engine.now_ms();
        match start_at(limited).map_or(PUT_BACK_S, |at| (at - now) / 1_000) {
            0 => Seen::Kept,
            wait_s => Seen::LimitedFor(wait_s.clamp(PUT_BACK_S, MAX_LIMITED_S)),
        }
    }

    /// How long a job rests that waits for another one, s; `None` once that has ended. The end sends a message of its own,
    /// unless it is the clock that ends it: then it is written down here, before the next one starts.
    async fn rest_behind(&self, on: &JobId, now: i64) -> Result<Option<i64>> {
        let Some(previous) = self.engine.last_that_ran(on, now).await? else { return Ok(None) };
        let current = settle(&previous, now);
        if current.state.is_terminal() {
            if !previous.state.is_terminal()
                && let Updated::Done(ended) = self.engine.replace(&previous, &current).await?
            {
                self.engine.ended(&ended, None).await;
            }
            return Ok(None);
        }
        self.engine.resend_if_long(&previous, now).await;
        let lease_s = current.lease.as_ref().map_or(MAX_BEHIND_S, |lease| (lease.ends_at_ms() - now) / 1_000);
        Ok(Some(lease_s.clamp(PUT_BACK_S, MAX_BEHIND_S)))
    }

    /// Kept in hand for a second at most, else put back. Never deleted: it may be the only message that the job has.
    fn not_yet(&self, at_ms: i64) -> Seen {
        Seen::of(Disposition::not_yet(at_ms, self.engine.now_ms()))
    }

    /// The job has ended: the process that ended it may have crashed before its workflow moved on or its lock was released.
    async fn finish_end(&self, ended: &Job, hide: bool) -> Result<Seen> {
        self.engine.advance_workflow(ended).await?;
        if hide {
            return Ok(Seen::back(PUT_BACK_S));
        }
        self.engine.release(ended).await?;
        self.engine.release_slots(ended).await;
        Ok(Seen::Stale)
    }

    /// No such job: the put may still be on its way, or was never made.
    fn orphan(&self, message: &Received) -> Seen {
        if !is_young(message.sent_at_ms, self.engine.now_ms()) {
            tracing::info!(queue = message.line.queue, "the message of a job that does not exist was dropped");
        }
        Seen::of(Disposition::delete_unless_young(message.sent_at_ms, self.engine.now_ms()))
    }

    /// Whether its put may still be under way.
    fn is_new(&self, message: &Received) -> bool {
        message.receives == 1 && self.engine.now_ms() - message.sent_at_ms < SOON_MS
    }

    fn is_old(&self, message: &Received) -> bool {
        self.engine.now_ms() - message.sent_at_ms > OLD_MS
    }
}

/// Why a job cannot start.
struct Refused {
    key: String,
    limited: Limited,
    /// What its policy wants; `None` for a limit of the queue.
    on_limit: Option<OnLimit>,
}

/// The key of a queue's own limits; no client can name it.
pub(in crate::engine) fn queue_key(queue: &str) -> String {
    format!("@queue:{queue}")
}

/// When a job may start at the earliest, if that is known, ms since the Unix epoch.
fn start_at(limited: &Limited) -> Option<i64> {
    match limited {
        Limited::Until(at) => Some(*at),
        Limited::Closed { until } => *until,
        Limited::Full { .. } => None,
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
        deadline_ms: job.timeout_ms.or(request.default_timeout_ms).map_or(i64::MAX, |timeout| now + timeout),
        receipt: Some(request.receipt.clone()),
    }
}
