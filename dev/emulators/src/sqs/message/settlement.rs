//! What receivers do with a message they hold: delete it, or change when it becomes visible.

use super::receipt_handle::ReceiptHandle;
use super::store::{MessageStore, Order, State};
use crate::sqs::http::errors::{ErrorKind, SqsError};

/// A message can be kept hidden for 12 hours from its receive on.
const MAX_HIDDEN_MS: i64 = 43_200_000;

impl MessageStore {
    /// Deletes the message of a handle. As on AWS, a stale handle changes nothing and is no error
    /// (standard), or is refused once the visibility timeout is over (FIFO); a message that is
    /// gone is no error.
    pub(crate) fn delete(&mut self, handle: ReceiptHandle) -> Result<(), SqsError> {
        let Some(entry) = self.entries.get(&handle.sequence) else {
            return Ok(());
        };
        let latest = entry.delivery == handle.delivery;
        let held = latest && matches!(entry.state, State::InFlight { .. });
        match self.order {
            Order::Standard(_) if !latest => return Ok(()),
            Order::Fifo(_) if !held => {
                return Err(SqsError::invalid_value(
                    handle.encode(),
                    "ReceiptHandle",
                    "The receipt handle has expired.",
                ));
            }
            _ => {}
        }
        self.remove(handle.sequence);
        Ok(())
    }

    /// Hides the message of a handle for `timeout_ms` from now on; 0 shows it at once.
    pub(crate) fn change_visibility(
        &mut self,
        now_ms: i64,
        handle: ReceiptHandle,
        timeout_ms: i64,
    ) -> Result<(), SqsError> {
        let Some(entry) = self.entries.get_mut(&handle.sequence) else {
            return Err(SqsError::invalid_value(
                handle.encode(),
                "ReceiptHandle",
                "Message does not exist or is not available for visibility timeout change.",
            ));
        };
        let (until_ms, since_ms) = match entry.state {
            State::InFlight { until_ms, since_ms } if entry.delivery == handle.delivery => (until_ms, since_ms),
            // Visible again, or in flight for someone else: a stale handle must not move it.
            _ => {
                return Err(SqsError::new(ErrorKind::MessageNotInflight, "The specified message isn't in flight."));
            }
        };
        if timeout_ms == 0 {
            self.show(handle.sequence);
            return Ok(());
        }
        let new_until_ms = now_ms.saturating_add(timeout_ms);
        if new_until_ms.saturating_sub(since_ms) > MAX_HIDDEN_MS {
            return Err(SqsError::invalid_value(
                timeout_ms / 1_000,
                "VisibilityTimeout",
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].",
            ));
        }
        entry.state = State::InFlight { until_ms: new_until_ms, since_ms };
        self.pending.remove(&(until_ms, handle.sequence));
        self.pending.insert((new_until_ms, handle.sequence));
        Ok(())
    }
}
