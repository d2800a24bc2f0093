//! The attributes of a queue's entry in the registry, which lists show.

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// When the queue was first used, ms since the Unix epoch.
    CREATED_AT = "ca";
    /// Paused since, ms since the Unix epoch; absent while it is not.
    PAUSED_AT = "pa";
    /// Mark of the last pause or resumption, ms since the Unix epoch: only one with a later mark is written.
    PAUSE_MARK = "pc";
}
