//! The attributes of the record of a request with an idempotency key.

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// Fingerprint of the request, 32 bytes.
    FINGERPRINT = "h";
    /// Nonce of the run that has the record now.
    NONCE = "nc";
    /// Start of that run, ms since the Unix epoch; 0 once it has ended without an answer.
    STARTED_AT = "at";
    /// Start of the first run, ms since the Unix epoch.
    FIRST_AT = "fa";
    /// What the run has written down before it began.
    PLAN = "pl";
    /// Outcome of the answer.
    OUTCOME = "o";
    /// How many items the answer is about.
    COUNT = "ct";
    /// Body of the answer.
    BODY = "b";
    /// When the table may forget it, s since the Unix epoch.
    TTL = "ttl";
}
