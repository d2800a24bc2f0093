//! Random operations on a message store, checked against a recount after each.

use std::collections::HashSet;
use std::sync::Arc;

use super::Message;
use super::delivery::{Delivered, DeliveryRules};
use super::store::{MessageStore, QueueDepth, State};
use crate::sqs::faults::{FaultControl, SqsFaults};

const RETENTION_MS: i64 = 5_000;

fn message(group: Option<u32>) -> Message {
    Message {
        id: String::new(),
        body: String::new(),
        body_md5: String::new(),
        attributes: Vec::new(),
        trace_header: None,
        group_id: group.map(|group| Arc::from(group.to_string())),
        deduplication_id: None,
    }
}

/// The counts, the slow way.
fn recount(store: &MessageStore) -> QueueDepth {
    let mut depth = QueueDepth::default();
    for entry in store.entries.values() {
        match entry.state {
            State::Visible => depth.visible += 1,
            State::Delayed { .. } => depth.delayed += 1,
            State::InFlight { .. } => depth.in_flight += 1,
        }
    }
    depth
}

fn run(fifo: bool, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let faults = FaultControl::new(SqsFaults { duplicate_delivery: 0.1, reorder: 0.3, seed, ..SqsFaults::default() });
    let mut store = MessageStore::new(1, fifo);
    let mut held: Vec<Delivered> = Vec::new();
    let mut now_ms = 1_000_000;
    for step in 0..3_000 {
        now_ms += random.i64(0..20);
        store.advance(now_ms, RETENTION_MS);
        match random.u8(0..10) {
            0..=3 => {
                let delay_ms = if random.bool() { 0 } else { random.i64(0..300) };
                store.send(now_ms, message(fifo.then(|| random.u32(0..5))), delay_ms, None);
            }
            4..=6 => {
                let rules = DeliveryRules {
                    limit: random.usize(1..=10),
                    visibility_ms: random.i64(0..400),
                    max_receive_count: random.bool().then_some(3),
                    faults: &faults,
                };
                let receivable = store.has_receivable();
                let delivery = store.receive(now_ms, &rules);
                let found = !delivery.delivered.is_empty() || !delivery.dead.is_empty();
                assert_eq!(found, receivable, "seed {seed} step {step}");
                let once: HashSet<_> = delivery.delivered.iter().map(|one| one.handle.sequence).collect();
                assert_eq!(once.len(), delivery.delivered.len(), "twice in one answer");
                held.extend(delivery.delivered);
            }
            7 | 8 if !held.is_empty() => {
                let one = held.swap_remove(random.usize(..held.len()));
                if random.bool() {
                    let _ = store.delete(one.handle);
                } else {
                    let _ = store.change_visibility(now_ms, one.handle, random.i64(0..200));
                    held.push(one);
                }
            }
            9 if random.u8(..) < 3 => drop(store.purge()),
            _ => drop(store.take_visible(random.usize(0..2))),
        }
        assert_eq!(store.depth(), recount(&store), "seed {seed} step {step}");
        let pending = store.depth().delayed + store.depth().in_flight;
        assert_eq!(store.pending.len(), pending, "seed {seed} step {step}");
    }
    store.advance(now_ms + RETENTION_MS, RETENTION_MS);
    assert_eq!(store.depth().total(), 0);
    assert!(!store.has_receivable());
}

#[test]
fn counts_hold_in_standard_queues() {
    (0..30).for_each(|seed| run(false, seed));
}

#[test]
fn counts_hold_in_fifo_queues() {
    (0..30).for_each(|seed| run(true, seed));
}

#[test]
fn a_fifo_group_is_delivered_in_order_with_one_batch_in_flight() {
    let faults = FaultControl::new(SqsFaults::default());
    let mut random = fastrand::Rng::with_seed(5);
    let mut store = MessageStore::new(1, true);
    for _ in 0..200 {
        store.send(0, message(Some(random.u32(0..7))), 0, None);
    }
    let (mut last, mut seen) = (std::collections::HashMap::new(), 0);
    while seen < 200 {
        let rules = DeliveryRules {
            limit: random.usize(1..=10),
            visibility_ms: 1_000,
            max_receive_count: None,
            faults: &faults,
        };
        let batches = [store.receive(0, &rules), store.receive(0, &rules)];
        let groups = batches
            .each_ref()
            .map(|batch| batch.delivered.iter().map(|one| one.message.group_id.clone()).collect::<HashSet<_>>());
        assert!(groups[0].is_disjoint(&groups[1]), "a group with a message in flight was delivered");
        for one in batches.into_iter().flat_map(|batch| batch.delivered) {
            let before = last.insert(one.message.group_id.clone(), one.handle.sequence);
            assert!(before < Some(one.handle.sequence), "out of order");
            assert!(store.delete(one.handle).is_ok());
            seen += 1;
        }
    }
}
