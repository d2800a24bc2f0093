use super::names;

/// One SQS queue of an OJS queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SqsQueue {
    /// The OJS queue.
    pub queue: String,
    /// What its messages are.
    pub kind: QueueKind,
}

/// What the messages of an SQS queue are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueKind {
    /// Messages about jobs that wait or run.
    Jobs {
        /// The priority of most of them; 0 is the queue that every OJS queue has.
        tier: i64,
    },
    /// Messages that SQS took out of the others because they had been received too often; of all tiers.
    DeadLetters,
}

impl SqsQueue {
    /// The line of an OJS queue's jobs of priority 0.
    #[must_use]
    pub fn jobs(queue: &str) -> Self {
        Self::tier(queue, 0)
    }

    /// The line of an OJS queue's jobs of one priority tier.
    #[must_use]
    pub fn tier(queue: &str, tier: i64) -> Self {
        Self { queue: queue.to_owned(), kind: QueueKind::Jobs { tier } }
    }

    /// The native dead-letter queue of an OJS queue.
    #[must_use]
    pub fn dead_letters(queue: &str) -> Self {
        Self { queue: queue.to_owned(), kind: QueueKind::DeadLetters }
    }

    /// Its SQS name.
    pub(super) fn sqs_name(&self, prefix: &str, fifo: bool) -> String {
        let mut name = match self.kind {
            QueueKind::Jobs { tier: 0 } => names::main(prefix, &self.queue),
            QueueKind::Jobs { tier } => names::tier(prefix, &self.queue, tier),
            QueueKind::DeadLetters => names::dead_letter(prefix, &self.queue),
        };
        if fifo {
            name.push_str(names::FIFO_SUFFIX);
        }
        name
    }
}
