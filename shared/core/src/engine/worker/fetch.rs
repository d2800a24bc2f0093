use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use futures::future::join_all;

use super::fetch_plan::{choose, wave};
use super::message::{Handled, MessageHandler, queue_key};
use super::{Returned, Unsettled};
use crate::deadline::Deadline;
use crate::engine::{Engine, MAX_ANSWER_BYTES};
use crate::store::MAX_ITEM_BYTES;
use crate::transport::{MAX_RECEIVE, Received, SqsQueue};
use ojs_model::error::{Error, Result};
use ojs_model::job::Job;
use ojs_model::limit::Limits;
use ojs_model::message::SOON_MS;
use ojs_model::queue::{QueueConfig, QueueState};

/// Most jobs one fetch may ask for.
pub const MAX_FETCH: usize = 100;
/// Most queues one fetch may name.
pub const MAX_FETCH_QUEUES: usize = 100;
/// Rounds per queue that may bring nothing but stale messages before the fetch moves on; and how long they may take, ms.
const MAX_STALE_ROUNDS: usize = 50;
const MAX_STALE_MS: i64 = 2_000;
/// A fetch passes over this many jobs of one SQS queue that rate limits keep from starting, and no more.
const MAX_LIMITED: usize = 50;
/// With less time left than this, a fetch receives no more, ms: claims follow, and an answer must leave in time.
const CLAIM_MS: i64 = 1_000;
/// A fetch receives no more once it has had a job in hand for this long, ms: others can work on what it would still find.
const IN_HAND_MS: i64 = 1_000;
/// How long a receive hides a message, s: a claim takes milliseconds, and what a crash or a lost answer leaves hidden
/// must not stay so for the length of a lease that no worker has.
const CLAIM_WINDOW_S: i64 = 60;
/// SQS hides a message for whole seconds. One whose job is due within the second is returned at once instead, for the
/// next fetch to wait for; but not more often than this, for each look costs an SQS call.
const MAX_LOOKS: i64 = 10;

/// A worker asks for jobs.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Queues in order of preference; 1 to [`MAX_FETCH_QUEUES`].
    pub queues: Vec<String>,
    /// Most jobs wanted; 1 to [`MAX_FETCH`]. Fewer come where they would not fit into one answer.
    pub count: usize,
    /// The worker, if it says.
    pub worker_id: Option<String>,
    /// The lease's length, ms; the job's or the server's when `None`.
    pub visibility_ms: Option<i64>,
}

impl Engine {
    /// Claims jobs for a worker (OJS core section 7.2): receives from the queues in their order, each one's higher priorities
    /// first, ten messages a call, then one conditional update per message; of messages that have come back, the jobs are read
    /// first. Where the first few SQS queues have too little, the next ones are asked several at once; of more than 32, the less
    /// preferred take turns. What it must know of the queues (paused, priorities in use) is read once a second.
    ///
    /// With nothing to return, it waits out the last second before a job it met is due, and then asks once more with a
    /// long poll if `OJS_FETCH_WAIT_SECONDS` says so. A queue that fails does not keep the others' jobs back (I7).
    ///
    /// It keeps the request's [`Deadline`] (I8): it answers with what it has in time. The claim of a job that can no longer
    /// be answered, or does not fit into the answer, is undone, and costs the job no attempt.
    ///
    /// # Errors
    /// The first AWS error, if no job has been claimed; claimed jobs are always answered.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Vec<Job>> {
        let lease_ms = fetch.visibility_ms.unwrap_or(self.settings.visibility_timeout_ms);
        let hidden_s = (lease_ms / 1_000).clamp(1, CLAIM_WINDOW_S);
        let states = self.queue_states(&fetch.queues).await?;
        let queues = fetch.queues.iter().map(String::as_str).zip(&states);
        // Nothing is received from a paused queue, not even to be put back.
        let queues =
            queues.filter(|(_, state)| state.paused_at.is_none()).map(|(queue, state)| (queue, &**state)).collect();
        let configs = fetch.queues.iter().map(String::as_str).zip(&states);
        let configs: HashMap<&str, QueueConfig> = configs
            .filter(|(_, state)| state.config != QueueConfig::default())
            .map(|(queue, state)| (queue, state.config))
            .collect();
        let handler = MessageHandler { engine: self, fetch: &fetch, hidden_s, configs: &configs };
        let mut round = Round {
            engine: self,
            fetch: &fetch,
            deadline: Deadline::current(),
            turn: fastrand::usize(..),
            queues,
            handler,
            jobs: Vec::new(),
            in_hand_since: None,
            bytes: 0,
            unanswered: Vec::new(),
            soon: Vec::new(),
            kept: Vec::new(),
            unsettled: Unsettled::default(),
            shut: HashSet::new(),
            limited: 0,
            parked: BTreeMap::new(),
            changed: BTreeSet::new(),
            failure: None,
        };
        round.all_queues().await;
        round.wait_for_the_soonest().await;
        round.release_parked().await;
        // A limited queue is answered at once.
        let limited = round.limited > 0 || !round.shut.is_empty();
        if round.jobs.is_empty() && round.failure.is_none() && !limited && !self.settings.fetch_wait.is_zero() {
            round.long_poll(self.settings.fetch_wait).await;
            round.wait_for_the_soonest().await;
        }
        round.release_parked().await;
        let kept = std::mem::take(&mut round.kept);
        if let Err(error) = round.return_messages(kept, 0).await {
            round.failed(error);
        }
        round.answer().await
    }
}

/// What an SQS queue had.
enum Drained {
    /// No message at all.
    Empty,
    Some,
}

struct Round<'a> {
    engine: &'a Engine,
    fetch: &'a Fetch,
    deadline: Deadline,
    /// Which of many queues have their turn.
    turn: usize,
    /// The queues to fetch from, in order of preference.
    queues: Vec<(&'a str, &'a QueueState)>,
    handler: MessageHandler<'a>,
    /// The jobs of the answer.
    jobs: Vec<Job>,
    /// When the first of them was claimed, ms.
    in_hand_since: Option<i64>,
    /// Size of the jobs in the answer.
    bytes: usize,
    /// Claimed jobs that do not fit into the answer.
    unanswered: Vec<Job>,
    /// Jobs that are nearly due, and their messages.
    soon: Vec<(i64, Received)>,
    /// Messages of jobs that a rate limit keeps from starting, to be returned at the end.
    kept: Vec<Received>,
    /// Messages of the look under way that are to be deleted or hidden.
    unsettled: Unsettled,
    /// Queues whose own limits let nothing start.
    shut: HashSet<String>,
    /// Jobs met that a rate limit keeps from starting.
    limited: usize,
    /// Messages of the look under way whose jobs are parked, by the keys of the limits.
    parked: BTreeMap<String, (Limits, Vec<Received>)>,
    /// Keys of limits that may have room for parked jobs.
    changed: BTreeSet<String>,
    failure: Option<Error>,
}

impl Round<'_> {
    /// How many more jobs may be claimed: as many as asked for, and no more than fit into the answer, at the size that items
    /// have at most. JSON in JSON is larger: what does not fit after all is not answered.
    fn wanted(&self) -> usize {
        let room = MAX_ANSWER_BYTES.saturating_sub(self.bytes) / MAX_ITEM_BYTES;
        self.fetch.count.saturating_sub(self.jobs.len()).min(room)
    }

    fn failed(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    /// Whether there is time for another receive.
    fn in_time(&self) -> bool {
        let now = self.engine.now_ms();
        self.deadline.left_ms(now) > CLAIM_MS && self.in_hand_since.is_none_or(|since| now - since <= IN_HAND_MS)
    }

    async fn all_queues(&mut self) {
        let engine = self.engine;
        let now = engine.now_ms();
        let sqs_queues = self.queues.clone().into_iter().filter(|(queue, state)| !self.is_shut(queue, state));
        let sqs_queues = sqs_queues.map(|(queue, state)| engine.queue_cache.sqs_queues(queue, state, now)).collect();
        let mut sqs_queues = choose(sqs_queues, self.turn);
        let mut asked = 0;
        while self.wanted() > 0 && self.in_time() && !sqs_queues.is_empty() {
            let size = wave(asked).min(sqs_queues.len());
            let next: Vec<SqsQueue> =
                sqs_queues.drain(..size).filter(|sqs_queue| !self.shut.contains(&sqs_queue.queue)).collect();
            asked += size;
            self.ask(next).await;
        }
    }

    /// Claims from SQS queues, the first of them first. Several are asked at once; what one of them makes superfluous of the
    /// later ones' messages is returned.
    async fn ask(&mut self, sqs_queues: Vec<SqsQueue>) {
        let (max, hidden_s) = (self.wanted().min(MAX_RECEIVE), self.handler.hidden_s);
        let transport = &self.engine.transport;
        let answers =
            join_all(sqs_queues.iter().map(|sqs_queue| transport.receive(sqs_queue, max, hidden_s, Duration::ZERO)))
                .await;
        for (sqs_queue, answer) in sqs_queues.iter().zip(answers) {
            let drained = match answer {
                Ok(messages) if self.wanted() == 0 || self.shut.contains(&sqs_queue.queue) => {
                    self.kept.extend(messages);
                    continue;
                }
                Ok(messages) => self.drain(sqs_queue, messages).await,
                Err(error) => Err(error),
            };
            match drained {
                // Remembered only where there are others to ask meanwhile.
                Ok(Drained::Empty) if self.has_tiers(&sqs_queue.queue) => {
                    self.engine.queue_cache.note_empty(sqs_queue, self.engine.now_ms());
                }
                Ok(_) => {}
                Err(error) => self.failed(error),
            }
        }
    }

    fn has_tiers(&self, queue: &str) -> bool {
        self.queues.iter().any(|(name, state)| *name == queue && !state.tiers.is_empty())
    }

    /// Whether a queue's own limits let nothing start, as far as is known.
    fn is_shut(&mut self, queue: &str, state: &QueueState) -> bool {
        if self.shut.contains(queue) {
            return true;
        }
        let engine = self.engine;
        let shut =
            !state.config.limits.is_empty() && engine.limit_cache.refusal(&queue_key(queue), engine.now_ms()).is_some();
        if shut {
            self.shut.insert(queue.to_owned());
        }
        shut
    }

    /// Claims from one SQS queue, of which these messages have been received, until there is enough, or nothing left.
    async fn drain(&mut self, sqs_queue: &SqsQueue, mut messages: Vec<Received>) -> Result<Drained> {
        if messages.is_empty() {
            return Ok(Drained::Empty);
        }
        let started = self.engine.now_ms();
        let mut stale_rounds = 0;
        let limited_before = self.limited;
        while !messages.is_empty() {
            let before = self.jobs.len();
            self.handle_messages(std::mem::take(&mut messages)).await?;
            if self.shut.contains(&sqs_queue.queue) || self.limited - limited_before >= MAX_LIMITED {
                break;
            }
            if self.jobs.len() == before {
                stale_rounds += 1;
                if stale_rounds == MAX_STALE_ROUNDS || self.engine.now_ms() - started > MAX_STALE_MS {
                    break;
                }
            }
            if self.wanted() == 0 || !self.in_time() {
                break;
            }
            // Where messages are stale, more than wanted are asked for: what turns out to be too much is returned.
            let max = if stale_rounds == 0 { self.wanted().min(MAX_RECEIVE) } else { MAX_RECEIVE };
            messages = self.engine.transport.receive(sqs_queue, max, self.handler.hidden_s, Duration::ZERO).await?;
        }
        Ok(Drained::Some)
    }

    /// Claims the jobs of messages, as many at once as are wanted, in their order; returns what is too much to its queue.
    async fn handle_messages(&mut self, mut messages: Vec<Received>) -> Result<()> {
        if self.engine.transport.is_fifo() {
            return self.handle_groups(messages).await;
        }
        let mut failure = None;
        let mut returned = Returned::read(self.engine, &messages).await;
        while !messages.is_empty() {
            let rest = messages.split_off(self.wanted().min(messages.len()));
            if messages.is_empty() {
                failure = failure.or(self.return_messages(rest, 0).await.err());
                break;
            }
            let looks = messages.iter().map(|message| self.handler.handle(message, returned.take(message)));
            let handled = join_all(looks.collect::<Vec<_>>()).await;
            for (message, handled) in messages.into_iter().zip(handled) {
                failure = failure.or(self.note(message, handled));
            }
            messages = rest;
        }
        failure.or(self.settle().await.err()).map_or(Ok(()), Err)
    }

    /// The same on FIFO queues: of each group, one job at most. The first message that is not deleted keeps those behind it,
    /// whatever its job is.
    async fn handle_groups(&mut self, messages: Vec<Received>) -> Result<()> {
        let mut groups: Vec<Vec<Received>> = Vec::new();
        for message in messages {
            match groups
                .iter_mut()
                .find(|group| group[0].sqs_queue == message.sqs_queue && group[0].group == message.group)
            {
                Some(group) => group.push(message),
                None => groups.push(vec![message]),
            }
        }
        let (mut failure, mut rest) = (None, Vec::new());
        while !groups.is_empty() {
            let later = groups.split_off(self.wanted().min(groups.len()));
            if groups.is_empty() {
                rest.extend(later.into_iter().flatten());
                break;
            }
            let handler = self.handler;
            for (first, behind) in join_all(groups.into_iter().map(|group| first_of(handler, group))).await {
                rest.extend(behind);
                if let Some((message, handled)) = first {
                    failure = failure.or(self.note(message, handled));
                }
            }
            groups = later;
        }
        failure = failure.or(self.return_messages(rest, 0).await.err());
        failure.or(self.settle().await.err()).map_or(Ok(()), Err)
    }

    /// Keeps what came of a look at a message. Answers the error of a look that failed: its message is put back.
    fn note(&mut self, message: Received, handled: Result<Handled>) -> Option<Error> {
        self.note_change(&message, &handled);
        match handled {
            Ok(Handled::Won(job, hidden_s)) => {
                self.in_hand_since.get_or_insert(self.engine.now_ms());
                if let Some(hidden_s) = hidden_s {
                    self.unsettled.hide(message, hidden_s);
                }
                let bytes = job.answer_bytes();
                // The first is answered whatever its size: no item is as large as an answer.
                if self.bytes + bytes > MAX_ANSWER_BYTES && !self.jobs.is_empty() {
                    self.unanswered.push(*job);
                } else {
                    self.bytes += bytes;
                    self.jobs.push(*job);
                }
            }
            Ok(Handled::Soon(at)) => self.soon.push((at, message)),
            Ok(Handled::Kept) => {
                self.limited += 1;
                self.kept.push(message);
            }
            Ok(Handled::Shut) => {
                self.shut.insert(message.sqs_queue.queue.clone());
                self.kept.push(message);
            }
            Ok(Handled::Parked(limit)) => {
                let (key, limits) = *limit;
                self.parked.entry(key).or_insert_with(|| (limits, Vec::new())).1.push(message);
            }
            Ok(Handled::Limited) => self.limited += 1,
            Ok(Handled::LimitedFor(hidden_s)) => {
                self.limited += 1;
                self.unsettled.hide(message, hidden_s);
            }
            Ok(Handled::Gone) => {}
            Ok(Handled::Stale) => self.unsettled.delete(message),
            Ok(Handled::Back(hidden_s)) => self.unsettled.hide(message, hidden_s),
            Err(error) => {
                let rest_s = self.handler.rest_s(&message, error.code);
                self.unsettled.hide(message, rest_s);
                return Some(error);
            }
        }
        None
    }

    /// Notes the limit of a message that is no more: where jobs are parked, another one's may be sent. A job that holds a
    /// slot makes room when it ends, and not now.
    fn note_change(&mut self, message: &Received, handled: &Result<Handled>) {
        let Some(key) = message.job.as_ref().and_then(|job| job.limit.as_ref()) else { return };
        let is_over = match handled {
            Ok(Handled::Won(job, _)) => !job.holds.contains(key),
            Ok(Handled::Gone | Handled::Stale) => true,
            _ => false,
        };
        if is_over && self.engine.limit_cache.has_parked(key) {
            self.changed.insert(key.clone());
        }
    }

    /// Deletes and hides the messages of the look that is over, ten a call.
    async fn settle(&mut self) -> Result<()> {
        let noted = self.note_parked().await;
        let settled = std::mem::take(&mut self.unsettled).settle(&self.engine.transport).await;
        noted.and(settled)
    }

    /// Messages of parked jobs go once the states of their limits say that jobs are parked.
    async fn note_parked(&mut self) -> Result<()> {
        let parked = std::mem::take(&mut self.parked);
        let engine = self.engine;
        let notes = parked.iter().map(|(key, (limits, _))| engine.note_parked(key, limits));
        let notes = join_all(notes.collect::<Vec<_>>()).await;
        let mut failure = None;
        for ((key, (_, messages)), noted) in parked.into_iter().zip(notes) {
            for message in messages {
                match &noted {
                    Ok(()) => self.unsettled.delete(message),
                    Err(error) => {
                        let rest_s = self.handler.rest_s(&message, error.code);
                        self.unsettled.hide(message, rest_s);
                    }
                }
            }
            // Room may have been made between the refusal and the note.
            self.changed.insert(key);
            failure = failure.or(noted.err());
        }
        failure.map_or(Ok(()), Err)
    }

    /// Sends messages of parked jobs where limits have room for them. Failures are logged: a tick does it as well.
    async fn release_parked(&mut self) {
        let keys = std::mem::take(&mut self.changed);
        let engine = self.engine;
        if self.deadline.left_ms(engine.now_ms()) <= CLAIM_MS {
            return;
        }
        let releases = keys.iter().map(|key| async move {
            if let Err(error) = Box::pin(engine.release_parked(key)).await {
                tracing::warn!(key, %error, "messages of jobs that wait for a rate limit not sent; a tick sends them");
            }
        });
        join_all(releases.collect::<Vec<_>>()).await;
    }

    /// Puts messages back, ten a call, all of them whatever happens to one.
    async fn return_messages(&self, messages: Vec<Received>, hidden_s: i64) -> Result<()> {
        let mut unsettled = Unsettled::default();
        for message in messages {
            unsettled.hide(message, hidden_s);
        }
        unsettled.settle(&self.engine.transport).await
    }

    /// With nothing else to return, waits until the first of the jobs that are nearly due, and claims what is due then.
    async fn wait_for_the_soonest(&mut self) {
        let mut soon = std::mem::take(&mut self.soon);
        soon.sort_by_key(|(at, _)| *at);
        let mut due = Vec::new();
        if self.jobs.is_empty()
            && let Some((first, _)) = soon.first()
        {
            let now = self.engine.now_ms();
            let left_ms = self.deadline.left_ms(now).saturating_sub(CLAIM_MS);
            let wait_ms = (first - now).clamp(0, SOON_MS).min(left_ms);
            self.engine.clock.sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
            let now = self.engine.now_ms();
            let ready = soon.iter().take_while(|(at, _)| *at <= now).count();
            due = soon.drain(..ready).map(|(_, message)| message).collect();
        }
        if let Err(error) = self.handle_messages(due).await {
            self.failed(error);
        }
        // Also what another worker claimed meanwhile and is due again soon: not worth a second wait.
        let (at_once, in_a_second): (Vec<_>, Vec<_>) = soon
            .into_iter()
            .chain(std::mem::take(&mut self.soon))
            .partition(|(_, message)| message.receives < MAX_LOOKS);
        for (rest, hidden_s) in [(at_once, 0), (in_a_second, 1)] {
            let rest = rest.into_iter().map(|(_, message)| message).collect();
            if let Err(error) = self.return_messages(rest, hidden_s).await {
                self.failed(error);
            }
        }
    }

    /// Asks the queues once more, at once, each with a long poll; as many as a fetch asks.
    async fn long_poll(&mut self, wait: Duration) {
        let left_ms = self.deadline.left_ms(self.engine.now_ms()).saturating_sub(CLAIM_MS);
        // SQS counts whole seconds.
        let wait = wait.min(Duration::from_secs(left_ms.max(0).unsigned_abs() / 1_000));
        if wait.is_zero() {
            return;
        }
        let max = self.wanted().min(MAX_RECEIVE);
        let hidden_s = self.handler.hidden_s;
        let tiers = |(queue, state): &(&str, &QueueState)| {
            state.tiers_down().into_iter().map(|tier| SqsQueue::tier(queue, tier)).collect::<Vec<_>>()
        };
        let sqs_queues = choose(self.queues.iter().map(tiers).collect(), self.turn);
        let polls = sqs_queues.iter().map(|sqs_queue| self.engine.transport.receive(sqs_queue, max, hidden_s, wait));
        let mut messages = Vec::new();
        for answer in join_all(polls).await {
            match answer {
                Ok(more) => messages.extend(more),
                Err(error) => self.failed(error),
            }
        }
        if let Err(error) = self.handle_messages(messages).await {
            self.failed(error);
        }
    }

    /// The answer: the claimed jobs, unless the time is up or they do not fit.
    async fn answer(mut self) -> Result<Vec<Job>> {
        if self.deadline.is_over(self.engine.now_ms()) {
            self.unanswered.append(&mut self.jobs);
        }
        if !self.unanswered.is_empty() {
            self.engine.unclaim(&self.unanswered).await;
        }
        match self.failure {
            // Claimed jobs are under a lease: not to answer them would leave them idle until it lapses.
            Some(error) if self.jobs.is_empty() => return Err(error),
            Some(error) => tracing::warn!(%error, claimed = self.jobs.len(), "fetch cut short"),
            None => {}
        }
        Ok(self.jobs)
    }
}

/// What came of the first message of a group that was not deleted, and the messages behind it.
async fn first_of(
    handler: MessageHandler<'_>,
    group: Vec<Received>,
) -> (Option<(Received, Result<Handled>)>, Vec<Received>) {
    let mut group = group.into_iter();
    while let Some(message) = group.next() {
        let handled = match handler.handle(&message, None).await {
            // The one behind it may be handed out only when this one is deleted.
            Ok(Handled::Stale) => {
                handler.engine.transport.delete(&message.sqs_queue, &message.receipt).await.map(|()| Handled::Gone)
            }
            handled => handled,
        };
        if !matches!(handled, Ok(Handled::Gone)) {
            return (Some((message, handled)), group.collect());
        }
    }
    (None, Vec::new())
}
