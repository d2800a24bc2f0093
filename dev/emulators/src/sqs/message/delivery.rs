//! Receiving: which messages go out, which go to the dead-letter queue instead.

use std::sync::Arc;

use super::Message;
use super::receipt_handle::ReceiptHandle;
use super::store::{Entry, MessageStore, MovingMessage, Order, State};
use crate::sqs::faults::FaultControl;

/// AWS's limit of messages in flight in one queue.
const MAX_IN_FLIGHT: usize = 120_000;

/// What a receiver asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeliveryRules<'a> {
    pub(crate) limit: usize,
    pub(crate) visibility_ms: i64,
    /// Deliveries after which a message moves to the dead-letter queue, if there is one.
    pub(crate) max_receive_count: Option<u32>,
    pub(crate) faults: &'a FaultControl,
}

/// A message that goes out.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) message: Arc<Message>,
    pub(crate) handle: ReceiptHandle,
    pub(crate) sent_ms: i64,
    pub(crate) receive_count: u32,
    pub(crate) first_received_ms: i64,
    pub(crate) dead_letter_source: Option<Arc<str>>,
}

/// What a receive found.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) delivered: Vec<Delivered>,
    /// Received too often: to be moved by the caller, who knows the other queue.
    pub(crate) dead: Vec<MovingMessage>,
    /// Too many messages are in flight.
    pub(crate) over_limit: bool,
    /// Copies made by the duplicate-delivery fault; filed last, so that one answer never carries
    /// a message twice.
    copies: Vec<Entry>,
}

impl MessageStore {
    /// Delivers up to `rules.limit` messages.
    pub(crate) fn receive(&mut self, now_ms: i64, rules: &DeliveryRules<'_>) -> Delivery {
        let mut delivery = Delivery::default();
        if matches!(self.order, Order::Standard(_)) {
            self.receive_standard(now_ms, rules, &mut delivery);
        } else {
            self.receive_fifo(now_ms, rules, &mut delivery);
        }
        for copy in std::mem::take(&mut delivery.copies) {
            self.insert(copy);
        }
        delivery
    }

    fn receive_standard(&mut self, now_ms: i64, rules: &DeliveryRules<'_>, delivery: &mut Delivery) {
        while delivery.delivered.len() < rules.limit {
            let Order::Standard(order) = &self.order else {
                return;
            };
            let Some(sequence) = order.pick(rules.faults.position(order.len())) else {
                return;
            };
            if self.depth_in_flight >= MAX_IN_FLIGHT {
                delivery.over_limit = true;
                return;
            }
            self.deliver_or_bury(now_ms, sequence, rules, delivery);
        }
    }

    /// As many messages as possible of the first free group, then of the next.
    fn receive_fifo(&mut self, now_ms: i64, rules: &DeliveryRules<'_>, delivery: &mut Delivery) {
        while delivery.delivered.len() < rules.limit && self.depth_in_flight < MAX_IN_FLIGHT {
            let Order::Fifo(order) = &self.order else {
                return;
            };
            let Some(group) = order.first_ready() else {
                return;
            };
            while delivery.delivered.len() < rules.limit && self.depth_in_flight < MAX_IN_FLIGHT {
                let Order::Fifo(order) = &self.order else {
                    return;
                };
                let Some(sequence) = order.first_of(&group) else {
                    break;
                };
                self.deliver_or_bury(now_ms, sequence, rules, delivery);
            }
            if let Order::Fifo(order) = &mut self.order {
                order.settle(&group);
            }
        }
    }

    fn deliver_or_bury(&mut self, now_ms: i64, sequence: u64, rules: &DeliveryRules<'_>, delivery: &mut Delivery) {
        let Some(entry) = self.entries.get_mut(&sequence) else {
            return;
        };
        if rules.max_receive_count.is_some_and(|max| entry.receive_count >= max) {
            delivery.dead.extend(self.remove(sequence).map(MovingMessage::from));
            return;
        }
        if matches!(self.order, Order::Standard(_)) && !entry.duplicated && rules.faults.duplicates() {
            entry.duplicated = true;
            delivery.copies.push(entry.clone());
        }
        let until_ms = now_ms.saturating_add(rules.visibility_ms);
        entry.state = State::InFlight { until_ms, since_ms: now_ms };
        entry.receive_count += 1;
        entry.delivery += 1;
        let first_received_ms = *entry.first_received_ms.get_or_insert(now_ms);
        match &mut self.order {
            Order::Standard(order) => order.remove(entry.place(sequence)),
            Order::Fifo(order) => order.take(&entry.group(), sequence),
        }
        self.pending.insert((until_ms, sequence));
        self.depth_in_flight += 1;
        delivery.delivered.push(Delivered {
            message: Arc::clone(&entry.message),
            handle: ReceiptHandle { queue: self.queue, sequence, delivery: entry.delivery },
            sent_ms: entry.sent_ms,
            receive_count: entry.receive_count,
            first_received_ms,
            dead_letter_source: entry.dead_letter_source.clone(),
        });
    }
}
