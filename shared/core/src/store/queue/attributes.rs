//! The attributes of a queue's state. Times are ms since the Unix epoch.

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// Paused since, ms; absent while it is not.
    PAUSED_AT = "pa";
    /// Last paused, ms.
    LAST_PAUSED_AT = "pl";
    /// Last resumed, ms.
    RESUMED_AT = "ra";
    /// Mark of the last pause or resumption, ms: only one with a later mark is written.
    PAUSE_MARK = "pc";
    /// Priorities with an SQS queue of their own, 0 excepted: a number set.
    TIERS = "tr";
    /// Configuration, JSON.
    CONFIG = "cf";
}
