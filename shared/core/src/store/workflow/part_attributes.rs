//! The attributes of the items beside a workflow's own: parts of the definition (`D`), shards (`S`), and kept results (`R`).

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// Of a definition: the whole of it, or further steps, JSON.
    DEFINITION = "df";
    /// Of a shard: open steps, a number set.
    OPEN = "pe";
    /// Of a shard: steps that failed, a number set.
    FAILED = "fa";
    /// Of a shard: steps whose results are kept, a number set.
    RESULTS = "rs";
    /// Of a kept result: the result, JSON; absent where it is null.
    RESULT = "re";
    /// Of all: when the table may forget it, s since the Unix epoch.
    TTL = "ttl";
}
