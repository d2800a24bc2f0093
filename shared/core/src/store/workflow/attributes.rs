//! The attributes of a workflow's item `M`, which says how far it is. Times are ms since the Unix epoch unless said otherwise.

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// State.
    STATE = "s";
    /// Kind.
    KIND = "kd";
    /// Name.
    NAME = "nm";
    /// States of its steps, a letter each; a capital one if the result is kept.
    STEPS = "st";
    /// When it was made, ms.
    CREATED_AT = "ca";
    /// When it ended, ms.
    ENDED_AT = "en";
    /// Version: counts the writes.
    VERSION = "v";
    /// Nonce of the last write.
    NONCE = "nc";
    /// How many shards a group or batch has.
    SHARDS = "sh";
    /// The shards with open steps, a number set.
    OPEN_SHARDS = "op";
    /// 1 while its first jobs may not all be made.
    CREATING = "cr";
    /// 1 once its callbacks are made.
    CALLED_BACK = "cd";
    /// 1 once a callback that an outer workflow waits for has failed.
    CALLBACK_FAILED = "cf";
    /// First steps of the further items of a long chain's definition, joined with commas.
    CUTS = "ct";
    /// 1 once the kept results have a time to live.
    RESULTS_EXPIRE = "rx";
    /// Which step of which workflow it is.
    PARENT = "pa";
    /// `traceparent` of its making.
    TRACE = "tp";
    /// Partition of the due index, while a tick may have to go on with it.
    DUE_PARTITION = "dup";
    /// Sort key of the due index: when a tick goes on with it, ms.
    DUE_SORT = "dus";
    /// Partition of the listing index; outermost ones only.
    LISTING_PARTITION = "lp";
    /// Sort key of the listing index: when it was made and its id, 22 bytes.
    LISTING_SORT = "lo";
    /// When the table may forget it, s since the Unix epoch.
    TTL = "ttl";
}
