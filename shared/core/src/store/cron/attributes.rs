//! The attributes of a cron job. Times are ms since the Unix epoch.

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// Revision: counts the writes.
    REVISION = "r";
    /// Nonce of the last write.
    NONCE = "nc";
    /// Cron expression.
    EXPRESSION = "ex";
    /// Time zone, by its IANA name.
    TIMEZONE = "tz";
    /// Overlap policy, unless it is `skip`.
    OVERLAP = "ov";
    /// `true` when the cron job is disabled, else absent.
    DISABLED = "off";
    /// Description.
    DESCRIPTION = "ds";
    /// Template of the jobs, JSON.
    TEMPLATE = "tp";
    /// The template's job type.
    JOB_TYPE = "ty";
    /// The template's queue.
    QUEUE = "q";
    /// The template's priority, unless 0.
    PRIORITY = "p";
    /// The template's message group.
    GROUP = "gr";
    /// When it was registered, ms.
    CREATED_AT = "ca";
    /// When it was last registered anew, ms.
    UPDATED_AT = "ua";
    /// Next occurrence, ms; absent while it is disabled.
    NEXT_RUN_AT = "nx";
    /// The occurrence for which a message was sent ahead, ms.
    WOKEN_FOR = "wk";
    /// The last occurrence that fired, ms.
    LAST_RUN_AT = "la";
    /// The job that the last occurrence made.
    LAST_JOB = "lj";
    /// How many occurrences made a job.
    RUN_COUNT = "rc";
    /// How many occurrences were skipped.
    SKIP_COUNT = "kc";
    /// How many jobs in a row had to wait for the one before.
    BACKLOG = "bl";
    /// The latest skips, JSON.
    SKIPS = "kx";
    /// Partition of the due index; absent while it is disabled.
    DUE_PARTITION = "dup";
    /// Sort key of the due index: the next occurrence, ms.
    DUE_SORT = "dus";
}
