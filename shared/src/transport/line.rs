use super::names;

/// One SQS queue of an OJS queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// The OJS queue.
    pub queue: String,
    /// What its messages are.
    pub role: Role,
}

/// What the messages of an SQS queue are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Messages about jobs that wait or run.
    Jobs,
    /// Messages that SQS took out of the others because they had been received too often.
    DeadLetters,
}

impl Line {
    /// The line of an OJS queue's jobs.
    #[must_use]
    pub fn jobs(queue: &str) -> Self {
        Self { queue: queue.to_owned(), role: Role::Jobs }
    }

    /// The native dead-letter queue of an OJS queue.
    #[must_use]
    pub fn dead_letters(queue: &str) -> Self {
        Self { queue: queue.to_owned(), role: Role::DeadLetters }
    }

    /// Its SQS name.
    pub(super) fn sqs_name(&self, prefix: &str) -> String {
        match self.role {
            Role::Jobs => names::main(prefix, &self.queue),
            Role::DeadLetters => names::dead_letter(prefix, &self.queue),
        }
    }
}
