//! What DynamoDB does now and then, to be switched on in tests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Which faults are on. The default is none. Probabilities are 0.0 (never) to 1.0 (always), and every
/// decision comes from one generator started with `seed`. Only reads and writes of items are
/// disturbed; calls that make, describe or delete a table are not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DynamoDbFaults {
    /// Probability of a throttling answer (400; half of them `ThrottlingException`, half of them
    /// `ProvisionedThroughputExceededException`) without effect.
    pub throttle: f64,
    /// Probability that the call takes effect but its answer is lost: a dropped connection or a 500.
    pub lost_answer: f64,
    /// Probability that a write is refused, without effect, because another transaction holds an item: a
    /// `TransactionCanceledException` with the reason `TransactionConflict` for transactions, a
    /// `TransactionConflictException` for single writes.
    pub transaction_conflict: f64,
    /// Probability that an entry of a `BatchWriteItem` or `BatchGetItem` is left out and named in `UnprocessedItems` or
    /// `UnprocessedKeys`.
    pub unprocessed: f64,
    /// Added to every call (in real time, whatever the clock).
    pub latency: Duration,
    /// Queries and scans of an index read the table as it was this long ago (on the clock).
    pub index_lag: Duration,
    /// Seed of the random decisions.
    pub seed: u64,
}

impl DynamoDbFaults {
    /// Whether any fault is on.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self { seed: self.seed, ..Self::default() }
    }
}

/// How a call is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// Refused as throttled, with this code.
    Throttled(&'static str),
    /// Refused because of another transaction.
    Conflict,
    /// Done, and the connection dropped.
    Dropped,
    /// Done, and answered with a 500.
    Failed,
}

/// What kind of call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    /// A write that a transaction under way makes fail.
    Write,
    /// `BatchWriteItem`, which does not report conflicts.
    BatchWrite,
    /// About tables: never disturbed.
    Table,
}

impl Kind {
    pub(super) fn of(action: &str) -> Self {
        match action {
            "GetItem" | "BatchGetItem" | "Query" | "Scan" | "TransactGetItems" => Self::Read,
            "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" => Self::Write,
            "BatchWriteItem" => Self::BatchWrite,
            _ => Self::Table,
        }
    }
}

/// The faults and their generator.
#[derive(Debug)]
pub(super) struct Dice {
    faults: DynamoDbFaults,
    random: Mutex<fastrand::Rng>,
}

impl Dice {
    pub(super) fn new(faults: DynamoDbFaults) -> Self {
        let random = Mutex::new(fastrand::Rng::with_seed(faults.seed));
        Self { faults, random }
    }

    pub(super) fn latency(&self) -> Duration {
        self.faults.latency
    }

    /// Decides about one entry of a batch.
    pub(super) fn withholds(&self) -> bool {
        self.faults.unprocessed > 0.0 && self.random().f64() < self.faults.unprocessed
    }

    /// Decides about one call.
    pub(super) fn roll(&self, kind: Kind) -> Option<Disturbance> {
        if kind == Kind::Table {
            return None;
        }
        let mut random = self.random();
        // No roll for faults that are off, so that they do not shift the others' decisions.
        let mut happens = |probability: f64| probability > 0.0 && random.f64() < probability;
        if happens(self.faults.throttle) {
            let code = if random.bool() { "ThrottlingException" } else { "ProvisionedThroughputExceededException" };
            return Some(Disturbance::Throttled(code));
        }
        if kind == Kind::Write && happens(self.faults.transaction_conflict) {
            return Some(Disturbance::Conflict);
        }
        if happens(self.faults.lost_answer) {
            return Some(if random.bool() { Disturbance::Dropped } else { Disturbance::Failed });
        }
        None
    }

    fn random(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolls(seed: u64) -> Vec<Option<Disturbance>> {
        let faults = DynamoDbFaults {
            throttle: 0.2,
            lost_answer: 0.2,
            transaction_conflict: 0.2,
            seed,
            ..DynamoDbFaults::default()
        };
        let dice = Dice::new(faults);
        (0..200).map(|_| dice.roll(Kind::Write)).collect()
    }

    #[test]
    fn a_seed_decides_everything() {
        assert_eq!(rolls(7), rolls(7));
        assert_ne!(rolls(7), rolls(8));
    }

    #[test]
    fn only_writes_conflict_and_tables_are_left_alone() {
        let dice = Dice::new(DynamoDbFaults { transaction_conflict: 1.0, ..DynamoDbFaults::default() });
        assert_eq!(dice.roll(Kind::of("UpdateItem")), Some(Disturbance::Conflict));
        assert_eq!(dice.roll(Kind::of("Query")), None);
        let dice = Dice::new(DynamoDbFaults { throttle: 1.0, ..DynamoDbFaults::default() });
        assert!(matches!(dice.roll(Kind::of("Query")), Some(Disturbance::Throttled(_))));
        assert_eq!(dice.roll(Kind::of("CreateTable")), None);
    }

    #[test]
    fn a_seed_alone_is_no_fault() {
        assert!(!DynamoDbFaults { seed: 5, ..DynamoDbFaults::default() }.any());
        assert!(DynamoDbFaults { index_lag: Duration::from_secs(1), ..DynamoDbFaults::default() }.any());
    }
}
