//! Names of queues, cron jobs and limits of the load.

/// Queues of jobs.
pub(crate) const QUEUES: &[&str] = &["soak-a", "soak-b", "soak.c"];
/// The queue of cron jobs.
pub(crate) const CRON: &str = "soak-cron";
/// Names of the cron jobs and their overlap policies.
pub(crate) const CRON_NAMES: &[(&str, &str)] = &[("soak-allow", "allow"), ("soak-skip", "skip")];
/// Keys of rate limits.
pub(crate) const LIMITS: &[&str] = &["soak-one", "soak-two"];
/// Jobs of one key that may run at once.
pub(crate) const LIMIT_CONCURRENCY: usize = 2;
