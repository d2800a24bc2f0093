//! Receiving with a wait: until a message is visible, the time is up, the queue is gone or the
//! emulator stops.

use std::sync::Arc;

use super::http::errors::{ErrorKind, SqsError};
use super::message::delivery::{Delivered, DeliveryRules};
use super::queue::Queue;
use super::service::Service;

/// What a receiver asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiveOrder {
    pub(crate) limit: usize,
    pub(crate) visibility_ms: i64,
    pub(crate) wait_ms: i64,
}

/// Receives, waiting as long as asked.
pub(crate) async fn receive(
    service: &Service,
    queue: &Arc<Queue>,
    order: ReceiveOrder,
) -> Result<Vec<Delivered>, SqsError> {
    if order.wait_ms == 0 && service.faults.empties_short_poll() {
        return Ok(Vec::new());
    }
    let start_ms = service.now_ms();
    let first = attempt(service, queue, order, start_ms);
    if order.wait_ms == 0 && first.over_limit && first.delivered.is_empty() {
        let message = "Too many messages are in flight in the queue.";
        return Err(SqsError::new(ErrorKind::OverLimit, message));
    }
    if order.wait_ms == 0 || !first.delivered.is_empty() {
        return Ok(first.delivered);
    }

    let deadline_ms = start_ms.saturating_add(order.wait_ms);
    let mut stopping = service.stopping.clone();
    let _waiting = queue.enter();
    loop {
        let arrival = queue.arrival();
        tokio::pin!(arrival);
        // From here on no arrival is missed, so look once more before sleeping.
        arrival.as_mut().enable();
        let now_ms = service.now_ms();
        let attempt = attempt(service, queue, order, now_ms);
        if queue.is_gone() {
            return Err(SqsError::queue_does_not_exist());
        }
        if !attempt.delivered.is_empty() || now_ms >= deadline_ms || *stopping.borrow() {
            return Ok(attempt.delivered);
        }
        let wake_ms = attempt.next_visible_ms.map_or(deadline_ms, |next| next.min(deadline_ms));
        tokio::select! {
            () = arrival => {}
            () = service.clock.wait_until(wake_ms) => {}
            _ = stopping.changed() => return Ok(Vec::new()),
        }
    }
}

struct Attempt {
    delivered: Vec<Delivered>,
    over_limit: bool,
    next_visible_ms: Option<i64>,
}

fn attempt(service: &Service, queue: &Queue, order: ReceiveOrder, now_ms: i64) -> Attempt {
    // Looked up before the queue is locked: locks of two queues are never held at once. A message
    // whose dead-letter queue is gone is delivered on.
    let settings = queue.settings();
    let dead_letters = settings
        .redrive
        .as_ref()
        .and_then(|policy| service.by_arn(&policy.target_arn).map(|target| (target, policy.max_receive_count)));
    let rules = DeliveryRules {
        limit: order.limit,
        visibility_ms: order.visibility_ms,
        max_receive_count: dead_letters.as_ref().map(|(_, count)| *count),
        faults: &service.faults,
    };
    let (delivery, next_visible_ms) = queue.with(now_ms, |store| {
        let delivery = store.receive(now_ms, &rules);
        (delivery, store.next_visible_ms())
    });
    if let Some((target, _)) = dead_letters
        && !delivery.dead.is_empty()
    {
        let source_arn = Arc::clone(&queue.identity.arn);
        target.with_and_wake(now_ms, |store| {
            for mut moving in delivery.dead {
                moving.dead_letter_source = Some(Arc::clone(&source_arn));
                if settings.fifo {
                    // Standard queues keep the age of a dead letter, FIFO queues start it anew.
                    moving.sent_ms = now_ms;
                }
                store.accept(now_ms, moving, 0);
            }
        });
    }
    Attempt { delivered: delivery.delivered, over_limit: delivery.over_limit, next_visible_ms }
}
