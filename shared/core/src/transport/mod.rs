//! SQS: the continuation. A message says only "look at job X now"; it may come twice, late, out of order, or
//! for a job that is gone. The store decides what it means.

mod batch;
mod delete_batch;
mod depth;
mod group;
mod hide_batch;
pub mod names;
mod queues;
mod receive;
mod send;
mod send_batch;
mod settle;
mod sqs_queue;

pub use depth::Depth;
pub use hide_batch::Hidden;
pub use receive::Received;
pub use sqs_queue::{QueueKind, SqsQueue};

use std::sync::Arc;

use aws_sdk_sqs::Client;

use crate::clock::Clock;
use crate::settings::Settings;
use queues::QueueUrls;

/// Longest time we hide a message in hand for, s: SQS counts its 12 h from the receive, which was a while ago.
const MAX_HIDE_S: i64 = 43_140;
/// Most entries of one batch call.
pub const MAX_BATCH: usize = 10;
/// Most messages one receive answers.
pub const MAX_RECEIVE: usize = 10;

/// The queues.
#[derive(Debug, Clone)]
pub struct Transport {
    client: Client,
    prefix: String,
    fifo: bool,
    clock: Arc<dyn Clock>,
    urls: Arc<QueueUrls>,
}

impl Transport {
    /// The queues whose names start with the settings' prefix, reached through `client`.
    #[must_use]
    pub fn new(client: Client, settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            prefix: settings.queue_prefix.clone(),
            fifo: settings.fifo,
            clock,
            urls: Arc::new(QueueUrls::default()),
        }
    }

    /// Whether the queues are FIFO queues.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.fifo
    }

    /// Forgets all queue URLs; for the local stack's reset.
    pub fn forget_queues(&self) {
        self.urls.clear();
    }
}
