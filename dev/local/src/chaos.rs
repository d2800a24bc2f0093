use std::time::Duration;

use ojs_emulators::{DynamoDbFaults, SqsFaults};

/// How far AWS misbehaves. Every fault is one that AWS documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Chaos {
    /// What SQS does on any day: duplicates, reordering, empty short polls.
    Soft,
    /// Bad days, too: throttling, lost answers, latency, batches that fail in part, lagging counts, and in DynamoDB
    /// conflicts of transactions and indexes that lag.
    Hard,
}

impl Chaos {
    /// The faults of both emulators, decided from `seed`.
    #[must_use]
    pub fn faults(self, seed: u64) -> (SqsFaults, DynamoDbFaults) {
        let soft =
            SqsFaults { duplicate_delivery: 0.1, reorder: 0.2, empty_short_poll: 0.2, seed, ..SqsFaults::default() };
        match self {
            Self::Soft => (soft, DynamoDbFaults { seed, ..DynamoDbFaults::default() }),
            Self::Hard => (
                SqsFaults {
                    lagging_counts: Some(Duration::from_secs(30)),
                    throttle: 0.02,
                    unavailable: 0.01,
                    latency: Duration::from_millis(5),
                    lost_answer: 0.02,
                    partial_batch_failure: 0.05,
                    ..soft
                },
                DynamoDbFaults {
                    throttle: 0.02,
                    lost_answer: 0.02,
                    transaction_conflict: 0.02,
                    unprocessed: 0.05,
                    latency: Duration::from_millis(3),
                    index_lag: Duration::from_secs(3),
                    seed,
                },
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_leaves_dynamodb_alone() {
        let (sqs, dynamodb) = Chaos::Soft.faults(3);
        assert!(!dynamodb.any());
        assert_eq!((sqs.throttle, sqs.lost_answer, sqs.latency), (0.0, 0.0, Duration::ZERO));
    }

    #[test]
    fn hard_has_every_fault_of_dynamodb_and_what_soft_has() {
        let ((soft, _), (hard, dynamodb)) = (Chaos::Soft.faults(3), Chaos::Hard.faults(3));
        assert_eq!(hard.duplicate_delivery, soft.duplicate_delivery);
        assert!([hard.throttle, hard.lost_answer, hard.partial_batch_failure].iter().all(|p| *p > 0.0));
        assert!(hard.lagging_counts.is_some() && !hard.latency.is_zero());
        let rates = [dynamodb.throttle, dynamodb.lost_answer, dynamodb.transaction_conflict, dynamodb.unprocessed];
        assert!(rates.iter().all(|p| *p > 0.0));
        assert!(!dynamodb.latency.is_zero() && !dynamodb.index_lag.is_zero());
    }
}
