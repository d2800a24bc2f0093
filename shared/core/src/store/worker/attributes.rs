//! The attributes of a worker. Times are ms since the Unix epoch unless said otherwise.

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// Last heartbeat, ms.
    HEARTBEAT_AT = "hb";
    /// How many jobs it says it runs.
    JOBS = "jobs";
    /// First heartbeat or directive, ms.
    CREATED_AT = "ca";
    /// What an operator asks of it: `running`, `quiet` or `terminate`.
    DIRECTIVE = "directive";
    /// When the table may forget it, s since the Unix epoch.
    TTL = "ttl";
}
