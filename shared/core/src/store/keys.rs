//! Every key of the table. Nothing else builds one.
//!
//! No index key is shared by all jobs: each is spread over shards by the job's id, because one key takes 1,000
//! writes a second at most.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::dynamo::attributes::{PK, SK, get_s, s};
use ojs_model::ids::JobId;
use ojs_model::job::unique::UniqueKey;

/// Sort key of a job's item.
pub(crate) const JOB_SK: &str = "J";
/// How the partition key of a workflow's items starts.
const WORKFLOW_PREFIX: &str = "WORKFLOW#";
/// Sort key of the item that says how far a workflow is.
pub(crate) const WORKFLOW_SK: &str = "M";
/// Sort key of the item that says what was asked for with a workflow, and how those of its parts start.
pub(crate) const DEFINITION_SK: &str = "D";
/// How the sort key of a step's result starts.
const RESULT_PREFIX: &str = "R#";
/// How a batch's partition key starts.
const BATCH_PREFIX: &str = "BATCH#";
/// How a lock's partition key starts.
const UNIQUE_PREFIX: &str = "UNIQUE#";
/// Sort key of a batch.
pub(crate) const BATCH_SK: &str = "B";
/// Sort key of a unique job's lock.
pub(crate) const UNIQUE_SK: &str = "U";
/// What the partition key of a worker's item starts with.
pub(super) const WORKER_PREFIX: &str = "WORKER#";
/// Sort key of a worker's item.
const WORKER_SK: &str = "W";
/// How the partition key of a queue's own items starts.
const QUEUE_PREFIX: &str = "QUEUE#";
/// Sort key of a queue's state.
const QUEUE_SK: &str = "Q";
/// Partition of the queue registry.
pub(crate) const QUEUES_PK: &str = "QUEUES";
/// How a job's partition key starts.
pub const JOB_PREFIX: &str = "JOB#";

/// Partitions of the listing index that list the keys of rate limits. A key enters its partition once, not per start.
pub const LIMIT_LIST_SHARDS: u32 = 8;
/// How the partition key of a rate limit starts.
const LIMIT_PREFIX: &str = "LIMIT#";
/// How the due index's partitions of parked jobs start.
const PARKED_PREFIX: &str = "PARKED#";
/// Sort key of a rate limit's state.
const LIMIT_SK: &str = "L";

/// Partitions of the cron jobs. Fixed: a cron job is found by its name.
pub const CRON_SHARDS: u32 = 4;

/// A primary key.
pub type Key = HashMap<String, AttributeValue>;

fn key(pk: impl Into<String>, sk: impl Into<String>) -> Key {
    HashMap::from([(PK.name().to_owned(), s(pk)), (SK.name().to_owned(), s(sk))])
}

/// A job's item.
#[must_use]
pub fn job(id: &JobId) -> Key {
    key(job_pk(id), JOB_SK)
}

/// Partition key of a job's item.
#[must_use]
pub fn job_pk(id: &JobId) -> String {
    format!("{JOB_PREFIX}{id}")
}

/// The id in a job's partition key.
#[must_use]
pub fn job_of_pk(pk: &str) -> Option<JobId> {
    JobId::parse(pk.strip_prefix(JOB_PREFIX)?)
}

/// One shard of a queue's counters: a partition of its own, for one takes 1,000 writes a second.
#[must_use]
pub fn counter(queue: &str, shard: u32) -> Key {
    key(format!("COUNTER#{queue}#{shard}"), "C")
}

/// A batch.
#[must_use]
pub fn batch(id: &JobId) -> Key {
    key(format!("{BATCH_PREFIX}{id}"), BATCH_SK)
}

/// The id in a batch's partition key.
#[must_use]
pub fn batch_of_pk(pk: &str) -> Option<JobId> {
    JobId::parse(pk.strip_prefix(BATCH_PREFIX)?)
}

/// How far a workflow is.
#[must_use]
pub fn workflow(id: &JobId) -> Key {
    key(workflow_pk(id), WORKFLOW_SK)
}

/// What was asked for with a workflow; where that is cut, its first part.
#[must_use]
pub fn workflow_definition(id: &JobId) -> Key {
    key(workflow_pk(id), DEFINITION_SK)
}

/// A further part of what was asked for with a workflow, by its first step.
#[must_use]
pub fn workflow_definition_part(id: &JobId, first: usize) -> Key {
    key(workflow_pk(id), format!("{DEFINITION_SK}#{first:04}"))
}

/// The result of a step that later ones get: of a group or batch beside the shard of the step, for the same reason.
#[must_use]
pub fn workflow_result(id: &JobId, shards: usize, step: usize) -> Key {
    key(workflow_results_pk(id, shards, step), workflow_result_sk(step))
}

/// Partition of [`workflow_result`].
#[must_use]
pub fn workflow_results_pk(id: &JobId, shards: usize, step: usize) -> String {
    match step.checked_rem(shards) {
        Some(shard) => workflow_shard_pk(id, shard),
        None => workflow_pk(id),
    }
}

/// Sort key of [`workflow_result`]: in the order of the steps.
#[must_use]
pub fn workflow_result_sk(step: usize) -> String {
    format!("{RESULT_PREFIX}{step:04}")
}

/// Reads [`workflow_result_sk`].
#[must_use]
pub fn step_of_result_sk(sk: &str) -> Option<usize> {
    sk.strip_prefix(RESULT_PREFIX)?.parse().ok()
}

/// The steps of one shard of a group or batch: a partition of its own, for one takes 1,000 writes a second.
#[must_use]
pub fn workflow_shard(id: &JobId, shard: usize) -> Key {
    key(workflow_shard_pk(id, shard), "S")
}

fn workflow_shard_pk(id: &JobId, shard: usize) -> String {
    format!("{}#{shard:02}", workflow_pk(id))
}

/// Partition of a workflow's items.
#[must_use]
pub fn workflow_pk(id: &JobId) -> String {
    format!("{WORKFLOW_PREFIX}{id}")
}

/// The id in [`workflow_pk`].
#[must_use]
pub fn workflow_of_pk(pk: &str) -> Option<JobId> {
    JobId::parse(pk.strip_prefix(WORKFLOW_PREFIX)?)
}

/// Partition of the workflows in the listing index; no queue's, for those have no `~`.
#[must_use]
pub fn workflows(shard: u32) -> String {
    format!("~workflows#{shard}")
}

/// The lock of a unique key.
#[must_use]
pub fn unique(key: &UniqueKey) -> Key {
    self::key(format!("{UNIQUE_PREFIX}{key}"), UNIQUE_SK)
}

/// The key in the partition key of [`unique`].
#[must_use]
pub fn unique_of_pk(pk: &str) -> Option<UniqueKey> {
    UniqueKey::from_hex(pk.strip_prefix(UNIQUE_PREFIX)?)
}

/// Whether an item is a queue's state.
#[must_use]
pub fn is_queue_state(item: &Key) -> bool {
    get_s(item, SK).is_some_and(|sk| sk == QUEUE_SK)
}

/// What is remembered of a request with an idempotency key, by its operation and the key's digest.
#[must_use]
pub fn idempotency(operation: &str, digest: &str) -> Key {
    key(format!("IDEM#{operation}#{digest}"), "I")
}

/// A queue's state.
#[must_use]
pub fn queue_state(name: &str) -> Key {
    key(format!("{QUEUE_PREFIX}{name}"), QUEUE_SK)
}

/// The queue in the partition key of [`queue_state`].
#[must_use]
pub fn queue_of_pk(pk: &str) -> Option<&str> {
    pk.strip_prefix(QUEUE_PREFIX)
}

/// A queue's entry in the registry.
#[must_use]
pub fn queue(name: &str) -> Key {
    key(QUEUES_PK, name)
}

/// A worker's item.
#[must_use]
pub fn worker(id: &str) -> Key {
    key(format!("{WORKER_PREFIX}{id}"), WORKER_SK)
}

/// A cron job's item.
#[must_use]
pub fn cron(name: &str) -> Key {
    key(cron_pk(cron_shard(name)), name)
}

/// Partition of one shard of the cron jobs, in the table and in the due index.
#[must_use]
pub fn cron_pk(shard: u32) -> String {
    format!("CRON#{shard}")
}

/// The shard that a cron job belongs to.
#[must_use]
pub fn cron_shard(name: &str) -> u32 {
    fnv(name) % CRON_SHARDS
}

/// The state of a rate limit: a partition of its own, for one takes 1,000 writes a second and each start is a write.
#[must_use]
pub fn limit(name: &str) -> Key {
    key(limit_pk(name), LIMIT_SK)
}

/// Partition key of a rate limit's state. Sorts as the limits' keys do.
#[must_use]
pub fn limit_pk(name: &str) -> String {
    format!("{LIMIT_PREFIX}{name}")
}

/// The rate limit's key in [`limit_pk`].
#[must_use]
pub fn limit_of_pk(pk: &str) -> Option<&str> {
    pk.strip_prefix(LIMIT_PREFIX)
}

/// Partition of one shard of the rate limits in the listing index; no queue's, for those have no `~`.
#[must_use]
pub fn limits(shard: u32) -> String {
    format!("~limits#{shard}")
}

/// The shard of [`limits`] that lists a rate limit.
#[must_use]
pub fn limit_list_shard(name: &str) -> u32 {
    fnv(name) % LIMIT_LIST_SHARDS
}

/// The shard of `shards` of [`unfinished`] in which a rate limit with parked jobs is.
#[must_use]
pub fn limit_shard(name: &str, shards: u32) -> u32 {
    fnv(name) % shards.max(1)
}

/// Partition of the due index with the jobs that are parked under a rate limit.
#[must_use]
pub fn parked(limit: &str) -> String {
    format!("{PARKED_PREFIX}{limit}")
}

/// The rate limit's key in [`parked`].
#[must_use]
pub fn limit_of_parked(partition: &str) -> Option<&str> {
    partition.strip_prefix(PARKED_PREFIX)
}

/// Where the scheduler has got to in what it does a little of at each tick.
#[must_use]
pub fn progress(what: &str) -> Key {
    key("SCHEDULER", what)
}

/// The shard of `shards` that a job belongs to.
#[must_use]
pub fn shard(id: &JobId, shards: u32) -> u32 {
    fnv(id.as_str()) % shards.max(1)
}

/// FNV-1a.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5_u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

/// Partition of one shard of the jobs in the due index.
#[must_use]
pub fn due(shard: u32) -> String {
    format!("DUE#{shard}")
}

/// Partition of one shard of the batches, workflows and rate limits with parked jobs in the due index: not among the jobs, whose number tenants choose.
#[must_use]
pub fn unfinished(shard: u32) -> String {
    format!("UNFINISHED#{shard}")
}

/// Partition of the dead-letter index over all queues.
#[must_use]
pub fn dead(shard: u32) -> String {
    format!("DEAD#{shard}")
}

/// Partition of the dead-letter index of one queue.
#[must_use]
pub fn dead_in(queue: &str, shard: u32) -> String {
    format!("{queue}#{shard}")
}

/// Sort key of both dead-letter indexes: by time, and by id within one ms, which an index alone would not order.
#[must_use]
pub fn dead_sort(discarded_at_ms: i64, id: &JobId) -> String {
    format!("{:015}#{id}", discarded_at_ms.max(0))
}

/// Reads [`dead_sort`].
#[must_use]
pub fn of_dead_sort(key: &str) -> Option<(i64, JobId)> {
    let (at, id) = key.split_once('#')?;
    Some((at.parse().ok()?, JobId::parse(id)?))
}

/// Sort key of the listing index: 6 bytes of the server's time, ms since the Unix epoch, then the 16 of the id. Clients choose
/// ids, so an id alone could put a job before all others for ever.
#[must_use]
pub fn listing_sort(created_at_ms: i64, id: &JobId) -> Vec<u8> {
    let [_, _, ms @ ..] = created_at_ms.max(0).to_be_bytes();
    ms.into_iter().chain(id.bytes()).collect()
}

/// Partition of the listing index.
#[must_use]
pub fn listing(queue: &str, shard: u32) -> String {
    format!("{queue}#{shard}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ojs_model::ids::Ids;

    #[test]
    fn a_job_key_reads_back() {
        let id = Ids::new().job_id(1_700_000_000_000);
        assert_eq!(job_of_pk(&job_pk(&id)), Some(id));
        assert_eq!(job_of_pk("QUEUE#x"), None);
    }

    #[test]
    fn each_rate_limit_has_a_partition_of_its_own() {
        let names: Vec<String> = (0..100).map(|i| format!("tenant:{i:02}")).collect();
        let mut partitions: Vec<String> = names.iter().map(|name| limit_pk(name)).collect();
        assert!(partitions.is_sorted(), "pages of the list are in the order of the keys");
        assert!(names.iter().zip(&partitions).all(|(name, pk)| limit_of_pk(pk) == Some(name)));
        partitions.dedup();
        assert_eq!(partitions.len(), 100);
        assert_eq!(limit_of_pk("JOB#x"), None);
    }

    #[test]
    fn dead_letters_sort_by_time_and_read_back() {
        let id = Ids::new().job_id(1_700_000_000_000);
        assert!(dead_sort(999, &id) < dead_sort(1_000, &id) && dead_sort(9, &id) < dead_sort(1_700_000_000_000, &id));
        assert_eq!(of_dead_sort(&dead_sort(1_700_000_000_000, &id)), Some((1_700_000_000_000, id)));
        assert_eq!(of_dead_sort("x"), None);
    }

    #[test]
    fn no_two_shards_of_a_counter_share_a_partition() {
        let partitions: std::collections::BTreeSet<_> =
            (0..8).map(|shard| counter("q", shard)["pk"].as_s().unwrap().clone()).collect();
        assert_eq!(partitions.len(), 8);
        assert!(!partitions.contains(queue_state("q")["pk"].as_s().unwrap()));
    }

    #[test]
    fn the_listing_is_sorted_by_the_servers_time_then_by_id() {
        let id = |text: &str| JobId::parse(text).unwrap();
        let (low, high) = (id("00000000-0000-7000-8000-000000000000"), id("ffffffff-ffff-7fff-bfff-ffffffffffff"));
        let sorted = [(0, &low), (255, &high), (256, &low), (1_700_000_000_000, &low), (1_700_000_000_000, &high)];
        let keys = sorted.map(|(at, id)| listing_sort(at, id));
        assert!(keys.windows(2).all(|two| two[0] < two[1]) && keys.iter().all(|key| key.len() == 22));
    }

    #[test]
    fn shards_are_used_evenly() {
        let ids = Ids::new();
        let mut counts = [0u32; 4];
        for _ in 0..4_000 {
            counts[shard(&ids.job_id(1_700_000_000_000), 4) as usize] += 1;
        }
        assert!(counts.iter().all(|c| (800..1_200).contains(c)), "{counts:?}");
    }
}
