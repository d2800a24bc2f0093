use futures::future::join;

use crate::transport::{Hidden, Received, Transport};
use ojs_model::error::Result;

/// Messages that a fetch has looked at and has still to delete or to hide: ten a call, when it has looked at all of one
/// receive. A message that a crash leaves here comes back after the time for which its receive hid it, and is looked at
/// again.
#[derive(Default)]
pub(in crate::engine) struct Unsettled {
    stale: Vec<Received>,
    hidden: Vec<(Received, i64)>,
}

impl Unsettled {
    /// To be deleted.
    pub(in crate::engine) fn delete(&mut self, message: Received) {
        self.stale.push(message);
    }

    /// To be hidden for this many seconds, from 0.
    pub(in crate::engine) fn hide(&mut self, message: Received, hidden_s: i64) {
        self.hidden.push((message, hidden_s));
    }

    /// Deletes and hides them, whatever happens to one of them.
    ///
    /// # Errors
    /// The first AWS error; messages may be settled, and the others come back.
    pub(in crate::engine) async fn settle(self, transport: &Transport) -> Result<()> {
        let stale: Vec<_> = self.stale.iter().map(|message| (&message.sqs_queue, message.receipt.as_str())).collect();
        let hidden: Vec<_> = self
            .hidden
            .iter()
            .map(|(message, hidden_s)| Hidden {
                sqs_queue: &message.sqs_queue,
                receipt: &message.receipt,
                hidden_s: *hidden_s,
            })
            .collect();
        let (deleted, hidden) = join(transport.delete_all(&stale), transport.hide_all(&hidden)).await;
        deleted.and(hidden)
    }
}
