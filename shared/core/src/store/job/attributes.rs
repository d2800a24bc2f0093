//! The attributes of a job. Names are short because every write is billed by the size of the whole item. Times are ms since
//! the Unix epoch unless said otherwise.

use crate::store::dynamo::attributes::attributes;

attributes! {
    /// Revision: counts the writes.
    REVISION = "r";
    /// State.
    STATE = "s";
    /// Job type.
    JOB_TYPE = "ty";
    /// Queue.
    QUEUE = "q";
    /// Arguments: the JSON text that came in.
    ARGS = "a";
    /// Metadata: the JSON text that came in.
    META = "m";
    /// Priority, unless 0.
    PRIORITY = "p";
    /// Tags, JSON.
    TAGS = "tg";
    /// Schema.
    SCHEMA = "sch";
    /// Execution timeout, ms.
    TIMEOUT = "tm";
    /// Visibility timeout, ms.
    VISIBILITY_TIMEOUT = "vt";
    /// Retry policy as given, JSON.
    RETRY = "rp";
    /// Unique policy as given, JSON.
    UNIQUE = "un";
    /// Key of a unique job, 32 bytes.
    UNIQUE_KEY = "uk";
    /// Rate limit as given, JSON.
    RATE_LIMIT = "rl";
    /// Keys of the rate limits a slot of which its last claim took, joined with commas.
    HELD_LIMITS = "lk";
    /// Unknown top-level fields, one JSON object.
    EXTRA = "x";
    /// Nonce of the last write; of an enqueue only with a client's id.
    NONCE = "nc";
    /// When the server made it, ms.
    CREATED_AT = "ca";
    /// When it became available, ms.
    ENQUEUED_AT = "ea";
    /// When it is scheduled for, ms.
    SCHEDULED_AT = "sc";
    /// The client's text of that time, where it differs from ours.
    SCHEDULED_TEXT = "sct";
    /// When it expires, ms.
    EXPIRES_AT = "ex";
    /// The client's text of that time, where it differs from ours.
    EXPIRES_TEXT = "ext";
    /// When a scheduled or retryable job is available, ms.
    DUE_AT = "du";
    /// Attempt.
    ATTEMPT = "n";
    /// How many attempts were returned unfinished.
    REQUEUES = "rq";
    /// When its attempt started, ms.
    STARTED_AT = "sa";
    /// Worker of the lease.
    LEASE_WORKER = "lw";
    /// Token of the lease; it stays when the lease ends.
    LEASE_TOKEN = "lt";
    /// End of the lease, ms.
    LEASE_UNTIL = "lu";
    /// Length of the lease, ms.
    LEASE_LENGTH = "vd";
    /// Execution deadline of the attempt, ms.
    DEADLINE = "xd";
    /// Leases that lapsed, a JSON array.
    LAPSED = "lb";
    /// Receipt handle of the SQS message, as bytes if it is base64; once the job has ended, on FIFO queues only.
    RECEIPT = "rh";
    /// The tier whose SQS queue the message is from, unless 0.
    RECEIPT_TIER = "rt";
    /// Errors, JSON.
    ERRORS = "er";
    /// How many of the errors are from before a manual retry.
    PAST_ERRORS = "pe";
    /// Retry delay, ms.
    RETRY_DELAY = "rd";
    /// Result, JSON.
    RESULT = "re";
    /// When it was completed, ms.
    COMPLETED_AT = "xa";
    /// When it was cancelled, ms.
    CANCELLED_AT = "ka";
    /// When it was discarded, ms.
    DISCARDED_AT = "da";
    /// When it was activated, ms.
    ACTIVATED_AT = "ga";
    /// When it was manually retried, ms.
    RETRIED_AT = "mr";
    /// Previous state.
    PREVIOUS_STATE = "ps";
    /// The cron occurrence that made it, JSON.
    CRON = "cr";
    /// How long the queue keeps it once completed, s; from the last claim.
    KEPT_COMPLETED = "kc";
    /// How long the queue keeps it once cancelled, s; from the last claim.
    KEPT_CANCELLED = "kk";
    /// How long the queue keeps it once discarded, s; from the last claim.
    KEPT_DISCARDED = "kd";
    /// The step of a workflow that it is.
    MEMBER_OF = "wo";
    /// The steps whose results it gets, JSON.
    PARENTS = "pr";
    /// Whether its own result is kept for later steps: 1 if it has any, 2 always; else absent.
    KEEPS_RESULT = "kr";
    /// When its worker was asked to stop, ms.
    CANCEL_REQUESTED_AT = "cq";
    /// The batch that it came with, until it is claimed.
    BATCH = "bt";
    /// Message group.
    GROUP = "gr";
    /// The job that it waits for.
    WAITS_FOR = "wf";
    /// Message of the job that waits for it.
    SUCCESSOR = "nb";
    /// When the table may forget it, s since the Unix epoch; terminal jobs only.
    TTL = "ttl";
    /// Partition of the listing index.
    LISTING_PARTITION = "lp";
    /// Sort key of the listing index: the server's time and the id, 22 bytes.
    LISTING_SORT = "lo";
    /// Partition of the due index: of a job that waits for its time, or is parked.
    DUE_PARTITION = "dup";
    /// Sort key of the due index: when its message may be sent, ms.
    DUE_SORT = "dus";
    /// How long after the next message of a parked job another one may be sent, ms.
    PARKED_GAP = "pg";
    /// Partition of the index of all dead letters.
    DEAD_PARTITION = "dlp";
    /// Partition of the index of one queue's dead letters.
    DEAD_IN_QUEUE_PARTITION = "dlq";
    /// Sort key of both: when it was discarded, and its id.
    DEAD_SORT = "dls";
}
