//! The messages of one queue: which are visible, delayed or in flight, and since when.
//!
//! Every step costs O(log n): whatever waits for a time is in a tree by that time, and the counts
//! are kept as messages move. Nothing moves by itself: [`MessageStore::advance`] catches up with
//! the clock before each use.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Message;
use super::deduplication::{Deduplication, DeduplicationKey};
use super::fifo_order::FifoOrder;
use super::standard_order::{Place, StandardOrder};

/// FIFO sequence numbers have 20 digits, as AWS's do.
const FIRST_SEQUENCE_NUMBER: u64 = 10_000_000_000_000_000_000;

/// How many messages of a queue are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Ready to be received (in a FIFO queue also those that wait for their group).
    pub visible: usize,
    /// Received and hidden until their visibility timeout.
    pub in_flight: usize,
    /// Sent with a delay that is not over.
    pub delayed: usize,
}

impl QueueDepth {
    /// All messages of the queue.
    #[must_use]
    pub fn total(&self) -> usize {
        self.visible + self.in_flight + self.delayed
    }
}

/// What a sender is told.
#[derive(Debug, Clone)]
pub(crate) struct SendReceipt {
    pub(crate) message_id: String,
    /// Of FIFO queues only.
    pub(crate) sequence_number: Option<String>,
}

/// A message on its way from one queue to another.
#[derive(Debug)]
pub(crate) struct MovingMessage {
    pub(crate) message: Arc<Message>,
    pub(crate) sent_ms: i64,
    pub(crate) receive_count: u32,
    pub(crate) first_received_ms: Option<i64>,
    /// ARN of the queue it failed in, once it sits in a dead-letter queue.
    pub(crate) dead_letter_source: Option<Arc<str>>,
}

/// A message and what happened to it so far.
#[derive(Debug, Clone)]
pub(in crate::sqs) struct Entry {
    pub(in crate::sqs) message: Arc<Message>,
    pub(in crate::sqs) sent_ms: i64,
    /// When it first became visible (ms): its place in a standard queue.
    pub(in crate::sqs) due_ms: i64,
    pub(in crate::sqs) receive_count: u32,
    pub(in crate::sqs) first_received_ms: Option<i64>,
    /// Number of the latest delivery: older receipt handles are stale.
    pub(in crate::sqs) delivery: u64,
    pub(in crate::sqs) state: State,
    pub(in crate::sqs) dead_letter_source: Option<Arc<str>>,
    /// The duplicate-delivery fault makes one copy of a message, not copies of copies.
    pub(in crate::sqs) duplicated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sqs) enum State {
    Visible,
    Delayed { until_ms: i64 },
    InFlight { until_ms: i64, since_ms: i64 },
}

#[derive(Debug)]
pub(in crate::sqs) enum Order {
    Standard(StandardOrder),
    Fifo(FifoOrder),
}

/// The messages of one queue.
#[derive(Debug)]
pub(crate) struct MessageStore {
    /// The queue's number, for receipt handles.
    pub(in crate::sqs) queue: u64,
    pub(in crate::sqs) entries: HashMap<u64, Entry>,
    pub(in crate::sqs) order: Order,
    /// Delayed and in flight, by the ms at which they become visible.
    pub(in crate::sqs) pending: BTreeSet<(i64, u64)>,
    /// All, by the ms at which they were sent, for the retention period.
    by_age: BTreeSet<(i64, u64)>,
    pub(in crate::sqs) depth_delayed: usize,
    pub(in crate::sqs) depth_in_flight: usize,
    next_sequence: u64,
    deduplication: Deduplication,
}

impl MessageStore {
    pub(crate) fn new(queue: u64, fifo: bool) -> Self {
        let order = if fifo { Order::Fifo(FifoOrder::default()) } else { Order::Standard(StandardOrder::default()) };
        Self {
            queue,
            entries: HashMap::new(),
            order,
            pending: BTreeSet::new(),
            by_age: BTreeSet::new(),
            depth_delayed: 0,
            depth_in_flight: 0,
            next_sequence: 0,
            deduplication: Deduplication::default(),
        }
    }

    pub(crate) fn depth(&self) -> QueueDepth {
        let visible = match &self.order {
            Order::Standard(order) => order.len(),
            Order::Fifo(order) => order.len(),
        };
        QueueDepth { visible, in_flight: self.depth_in_flight, delayed: self.depth_delayed }
    }

    /// Whether a receive now would find a message.
    pub(crate) fn has_receivable(&self) -> bool {
        match &self.order {
            Order::Standard(order) => order.len() > 0,
            Order::Fifo(order) => order.has_ready(),
        }
    }

    /// When (ms) the next delayed or in-flight message becomes visible.
    pub(crate) fn next_visible_ms(&self) -> Option<i64> {
        self.pending.first().map(|(at_ms, _)| *at_ms)
    }

    /// Catches up with the clock: shows what is due, drops what is older than the retention period.
    pub(crate) fn advance(&mut self, now_ms: i64, retention_ms: i64) {
        while let Some((sent_ms, sequence)) = self.by_age.first().copied() {
            if sent_ms.saturating_add(retention_ms) > now_ms {
                break;
            }
            self.remove(sequence);
        }
        while let Some((at_ms, sequence)) = self.pending.first().copied() {
            if at_ms > now_ms {
                break;
            }
            self.show(sequence);
        }
    }

    /// Takes in a new message. `key` is what duplicates are recognised by (FIFO).
    pub(crate) fn send(
        &mut self,
        now_ms: i64,
        message: Message,
        delay_ms: i64,
        key: Option<DeduplicationKey>,
    ) -> SendReceipt {
        if let Some(receipt) = key.as_ref().and_then(|key| self.deduplication.find(now_ms, key)) {
            return receipt;
        }
        let message_id = message.id.clone();
        let moving = MovingMessage {
            message: Arc::new(message),
            sent_ms: now_ms,
            receive_count: 0,
            first_received_ms: None,
            dead_letter_source: None,
        };
        let sequence = self.accept(now_ms, moving, delay_ms);
        let sequence_number = match self.order {
            Order::Standard(_) => None,
            Order::Fifo(_) => Some(sequence_number(sequence)),
        };
        let receipt = SendReceipt { message_id, sequence_number };
        if let Some(key) = key {
            self.deduplication.remember(now_ms, key, receipt.clone());
        }
        receipt
    }

    /// Takes in a message, new or from another queue; returns its number.
    pub(crate) fn accept(&mut self, now_ms: i64, moving: MovingMessage, delay_ms: i64) -> u64 {
        let due_ms = now_ms.saturating_add(delay_ms);
        let state = if delay_ms > 0 { State::Delayed { until_ms: due_ms } } else { State::Visible };
        self.insert(Entry {
            message: moving.message,
            sent_ms: moving.sent_ms,
            due_ms,
            receive_count: moving.receive_count,
            first_received_ms: moving.first_received_ms,
            delivery: 0,
            state,
            dead_letter_source: moving.dead_letter_source,
            duplicated: false,
        })
    }

    /// Files an entry that is visible or delayed under the next number.
    pub(in crate::sqs) fn insert(&mut self, entry: Entry) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.by_age.insert((entry.sent_ms, sequence));
        if let State::Delayed { until_ms } = entry.state {
            self.pending.insert((until_ms, sequence));
            self.depth_delayed += 1;
        }
        let visible = entry.state == State::Visible;
        match &mut self.order {
            Order::Standard(order) if visible => order.add((entry.due_ms, sequence)),
            Order::Standard(_) => {}
            Order::Fifo(order) => order.add(&entry.group(), sequence, visible),
        }
        self.entries.insert(sequence, entry);
        sequence
    }

    /// Makes a delayed or in-flight message visible.
    pub(in crate::sqs) fn show(&mut self, sequence: u64) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        let was = std::mem::replace(&mut entry.state, State::Visible);
        match was {
            State::Visible => return,
            State::Delayed { until_ms } => {
                self.pending.remove(&(until_ms, sequence));
                self.depth_delayed -= 1;
            }
            State::InFlight { until_ms, .. } => {
                self.pending.remove(&(until_ms, sequence));
                self.depth_in_flight -= 1;
            }
        }
        match (&mut self.order, was) {
            (Order::Standard(order), _) => order.add((entry.due_ms, sequence)),
            (Order::Fifo(order), State::InFlight { .. }) => order.put_back(&entry.group(), sequence),
            (Order::Fifo(order), _) => order.show(&entry.group(), sequence),
        }
    }

    /// Removes a message, whatever its state.
    pub(in crate::sqs) fn remove(&mut self, sequence: u64) -> Option<Entry> {
        let entry = self.entries.remove(&sequence)?;
        self.by_age.remove(&(entry.sent_ms, sequence));
        match entry.state {
            State::Visible => {}
            State::Delayed { until_ms } => {
                self.pending.remove(&(until_ms, sequence));
                self.depth_delayed -= 1;
            }
            State::InFlight { until_ms, .. } => {
                self.pending.remove(&(until_ms, sequence));
                self.depth_in_flight -= 1;
            }
        }
        match (&mut self.order, entry.state) {
            (Order::Standard(order), State::Visible) => order.remove((entry.due_ms, sequence)),
            (Order::Standard(_), _) => {}
            (Order::Fifo(order), State::InFlight { .. }) => order.finish(&entry.group()),
            (Order::Fifo(order), _) => order.remove(&entry.group(), sequence),
        }
        Some(entry)
    }

    /// Takes up to `limit` visible messages out, for a move to another queue.
    pub(crate) fn take_visible(&mut self, limit: usize) -> Vec<MovingMessage> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let next = match &self.order {
                Order::Standard(order) => order.pick(0),
                Order::Fifo(order) => order.first_ready().and_then(|group| order.first_of(&group)),
            };
            let Some(entry) = next.and_then(|sequence| self.remove(sequence)) else {
                break;
            };
            taken.push(entry.into());
        }
        taken
    }

    /// An empty store in the place of this one, which is returned so that its messages can be
    /// dropped without the lock. Numbers go on and duplicates stay known.
    pub(crate) fn purge(&mut self) -> Self {
        let mut empty = Self::new(self.queue, matches!(self.order, Order::Fifo(_)));
        empty.next_sequence = self.next_sequence;
        std::mem::swap(&mut empty.deduplication, &mut self.deduplication);
        std::mem::replace(self, empty)
    }
}

impl Entry {
    pub(in crate::sqs) fn group(&self) -> Arc<str> {
        self.message.group_id.clone().unwrap_or_default()
    }

    pub(in crate::sqs) fn place(&self, sequence: u64) -> Place {
        (self.due_ms, sequence)
    }
}

impl From<Entry> for MovingMessage {
    fn from(entry: Entry) -> Self {
        Self {
            message: entry.message,
            sent_ms: entry.sent_ms,
            receive_count: entry.receive_count,
            first_received_ms: entry.first_received_ms,
            dead_letter_source: entry.dead_letter_source,
        }
    }
}

/// The number of a FIFO message as AWS writes it.
pub(crate) fn sequence_number(sequence: u64) -> String {
    FIRST_SEQUENCE_NUMBER.saturating_add(sequence).to_string()
}
