//! The attributes of one shard of a queue's counters.

use crate::store::dynamo::attributes::{Attribute, attributes};

attributes! {
    /// How many jobs were completed.
    COMPLETED = "completed";
    /// How many jobs were cancelled.
    CANCELLED = "cancelled";
    /// How many jobs were discarded.
    DISCARDED = "discarded";
    /// How many messages of live jobs were found in the native dead-letter queue, and sent again.
    RESENT = "dlq_resent";
    /// How many other messages were found there, and dropped.
    DROPPED = "dlq_dropped";
}

/// Nonces of the last writes, so that an SDK retry does not count twice.
pub(in crate::store) const NONCES: [Attribute; 16] = [
    Attribute("n0"),
    Attribute("n1"),
    Attribute("n2"),
    Attribute("n3"),
    Attribute("n4"),
    Attribute("n5"),
    Attribute("n6"),
    Attribute("n7"),
    Attribute("n8"),
    Attribute("n9"),
    Attribute("n10"),
    Attribute("n11"),
    Attribute("n12"),
    Attribute("n13"),
    Attribute("n14"),
    Attribute("n15"),
];
