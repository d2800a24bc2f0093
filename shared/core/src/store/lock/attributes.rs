//! The attributes of a unique job's lock.

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// The job that holds it.
    JOB = "j";
    /// States in which the job holds it, as bits.
    STATES = "st";
    /// Until when, ms since the Unix epoch; for ever without.
    EXPIRES_AT = "ex";
    /// 1 once the job's message has been sent again.
    RESENT = "sn";
    /// Nonce of the write that made it.
    NONCE = "nc";
    /// The job's revision then.
    REVISION = "rv";
    /// When the table may forget it, s since the Unix epoch; of a lock that outlives its job's end.
    TTL = "ttl";
}
