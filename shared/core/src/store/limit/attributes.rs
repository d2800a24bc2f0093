//! The attributes of a rate limit's state. Times are ms since the Unix epoch unless said otherwise.

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// Version: counts the writes.
    VERSION = "v";
    /// Nonce of the last write.
    NONCE = "nc";
    /// The limits that were applied last, JSON.
    LIMITS = "li";
    /// Start of the window, ms.
    WINDOW_START = "ws";
    /// Starts in the window.
    WINDOW_COUNT = "wc";
    /// Last start, ms.
    LAST_START = "ls";
    /// Jobs that hold a slot, and until when, JSON.
    HOLDERS = "ho";
    /// Nothing starts before this time, ms.
    BLOCKED_UNTIL = "bl";
    /// An operator's limits, JSON.
    OVERRIDE = "ov";
    /// When the operator's limits end, ms.
    OVERRIDE_UNTIL = "ox";
    /// When jobs were last noted as parked, ms.
    PARKED_AT = "pn";
    /// Partition of the due index, while there may be parked jobs.
    DUE_PARTITION = "dup";
    /// Sort key of the due index: when a tick looks at the parked jobs, ms.
    DUE_SORT = "dus";
    /// Partition of the listing index. It never changes, so that a start writes nothing there.
    LISTING_PARTITION = "lp";
    /// Sort key of the listing index: the bytes of the limit's key.
    LISTING_SORT = "lo";
    /// When the table may forget it, s since the Unix epoch.
    TTL = "ttl";
}
