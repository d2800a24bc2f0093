//! The attributes of a batch.

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// State: open, committed or aborted.
    STATE = "s";
    /// Ids of its jobs, joined with commas.
    JOBS = "js";
    /// Nonce of the write that committed it.
    NONCE = "nc";
    /// Partition of the due index.
    DUE_PARTITION = "dup";
    /// Sort key of the due index: when a tick finishes it, ms since the Unix epoch.
    DUE_SORT = "dus";
}
