//! Settings, from the environment. Every name is listed in the README's configuration table.

use std::time::Duration;

use ojs_model::job::{MAX_VISIBILITY_MS, MIN_VISIBILITY_MS, Retention};

/// What the engine can be told. [`Settings::default`] are the documented defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `DYNAMODB_TABLE`: the table's name.
    pub table: String,
    /// `SQS_QUEUE_PREFIX`: what every SQS queue's name starts with; 1 to 20 letters, digits, `_` or `-`.
    pub queue_prefix: String,
    /// `SQS_USE_FIFO`: whether the SQS queues are FIFO queues. Not to be changed while there are jobs.
    pub fifo: bool,
    /// `OJS_VISIBILITY_TIMEOUT_SECONDS`: a lease's length where neither fetch nor job says, 1 to 43,200 s.
    pub visibility_timeout_ms: i64,
    /// `OJS_FETCH_WAIT_SECONDS`: how long a fetch that found nothing asks once more with a long poll, 0 to 20 s.
    pub fetch_wait: Duration,
    /// `OJS_REQUEST_TIMEOUT_MS`: how long whatever calls the API waits for an answer, 2,000 to 900,000 ms. On Lambda the
    /// function's own time-out counts where that is earlier.
    pub request_timeout_ms: i64,
    /// `OJS_DEADLINE_MARGIN_MS`: how long before that a request answers with what it has, 600 to 10,000 ms and at most half of
    /// the time-out. AWS calls may take [`crate::deadline::GRACE_MS`] of it.
    pub deadline_margin_ms: i64,
    /// `OJS_RETENTION_COMPLETED_DAYS`, `OJS_RETENTION_DISCARDED_DAYS`: how long terminal jobs are kept.
    pub retention: Retention,
    /// `OJS_LISTING_INDEX`: whether new jobs enter the listing index (one write unit each), which the event feed reads.
    pub listing_index: bool,
    /// `OJS_INDEX_SHARDS`: partitions per index key, 1 to 32. May be raised, never lowered, on a live table.
    pub index_shards: u32,
    /// `OJS_CRON_MISFIRE_SECONDS`: how late a cron occurrence may be looked at and still fire by itself, 60 to 86,400 s.
    pub cron_misfire_ms: i64,
    /// `OJS_TICK_MAX_JOBS`: most jobs that one scheduler tick sends, 100 to 10,000,000.
    pub tick_max_jobs: usize,
    /// `OJS_AUDIT_ITEMS_PER_TICK`: most items of the table that the audit reads in one scheduler tick, 0 to 1,000,000; 0 turns it
    /// off.
    pub audit_items_per_tick: usize,
    /// `OJS_AUDIT_PERIOD_SECONDS`: the shortest time from the beginning of one pass of the audit to that of the next, 60 to
    /// 604,800 s.
    pub audit_period_ms: i64,
    /// `OJS_STATS_MAX_JOBS`: how many jobs of a queue its stats look at one by one, 0 to 10,000; beyond that, SQS's numbers of
    /// messages are answered. A read unit each.
    pub stats_max_jobs: usize,
    /// `OJS_TEST_DIRECTIVES`: whether `meta.test_directive` of a job directs the worker that runs it, as the conformance suites need
    /// it. Off unless one develops: a client that may enqueue could stop workers.
    pub test_directives: bool,
    /// `OJS_STRICT_FENCING`: whether an ack, nack or heartbeat for a job that has a lapsed lease is refused if a late worker may have
    /// sent it.
    pub strict_fencing: bool,
    /// `OJS_AWS_MAX_ATTEMPTS`: tries of one AWS call, 1 to 10.
    pub aws_max_attempts: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            table: "ojs-jobs".to_owned(),
            queue_prefix: "ojs".to_owned(),
            fifo: false,
            visibility_timeout_ms: 1_800_000,
            fetch_wait: Duration::ZERO,
            request_timeout_ms: 29_000,
            deadline_margin_ms: 1_000,
            retention: Retention { completed_s: 7 * 86_400, discarded_s: 30 * 86_400 },
            listing_index: true,
            index_shards: 4,
            cron_misfire_ms: 120_000,
            tick_max_jobs: 200_000,
            audit_items_per_tick: 2_000,
            audit_period_ms: 3_600_000,
            stats_max_jobs: 0,
            test_directives: false,
            strict_fencing: true,
            aws_max_attempts: 3,
        }
    }
}

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct SettingsError {
    /// The environment variable.
    pub variable: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`SettingsError`] naming the first variable that cannot be used.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads variables through `lookup`; an empty value counts as unset.
    ///
    /// # Errors
    /// [`SettingsError`] naming the first variable that cannot be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let env = Env { lookup: &|name| lookup(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()) };
        let defaults = Self::default();
        let table = env.text("DYNAMODB_TABLE").unwrap_or(defaults.table);
        let table_ok = (3..=255).contains(&table.len())
            && table.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !table_ok {
            return Err(SettingsError {
                variable: "DYNAMODB_TABLE",
                problem: "must be 3 to 255 letters, digits, '_', '-' or '.'".to_owned(),
            });
        }
        let queue_prefix = env.text("SQS_QUEUE_PREFIX").unwrap_or(defaults.queue_prefix);
        let prefix_ok = queue_prefix.len() <= 20
            && queue_prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !prefix_ok {
            return Err(SettingsError {
                variable: "SQS_QUEUE_PREFIX",
                problem: "must be 1 to 20 letters, digits, '_' or '-'".to_owned(),
            });
        }
        let days = |name, default_s: i64| env.number(name, 0, 36_500).map(|d| d.map_or(default_s, |d| d * 86_400));
        let visibility_timeout_ms = env
            .number("OJS_VISIBILITY_TIMEOUT_SECONDS", MIN_VISIBILITY_MS / 1_000, MAX_VISIBILITY_MS / 1_000)?
            .map_or(defaults.visibility_timeout_ms, |s| s * 1_000);
        let request_timeout_ms =
            env.number("OJS_REQUEST_TIMEOUT_MS", 2_000, 900_000)?.unwrap_or(defaults.request_timeout_ms);
        let most = (request_timeout_ms / 2).min(10_000);
        let deadline_margin_ms =
            env.number("OJS_DEADLINE_MARGIN_MS", 600, most)?.unwrap_or(defaults.deadline_margin_ms);
        Ok(Self {
            table,
            queue_prefix,
            fifo: env.flag("SQS_USE_FIFO", false)?,
            visibility_timeout_ms,
            fetch_wait: Duration::from_secs(env.number("OJS_FETCH_WAIT_SECONDS", 0, 20)?.unwrap_or(0).unsigned_abs()),
            request_timeout_ms,
            deadline_margin_ms,
            retention: Retention {
                completed_s: days("OJS_RETENTION_COMPLETED_DAYS", defaults.retention.completed_s)?,
                discarded_s: days("OJS_RETENTION_DISCARDED_DAYS", defaults.retention.discarded_s)?,
            },
            listing_index: env.flag("OJS_LISTING_INDEX", true)?,
            index_shards: env.small("OJS_INDEX_SHARDS", 32)?.unwrap_or(defaults.index_shards),
            cron_misfire_ms: env
                .number("OJS_CRON_MISFIRE_SECONDS", 60, 86_400)?
                .map_or(defaults.cron_misfire_ms, |s| s * 1_000),
            tick_max_jobs: env
                .number("OJS_TICK_MAX_JOBS", 100, 10_000_000)?
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(defaults.tick_max_jobs),
            audit_items_per_tick: env
                .number("OJS_AUDIT_ITEMS_PER_TICK", 0, 1_000_000)?
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(defaults.audit_items_per_tick),
            audit_period_ms: env
                .number("OJS_AUDIT_PERIOD_SECONDS", 60, 604_800)?
                .map_or(defaults.audit_period_ms, |s| s * 1_000),
            stats_max_jobs: env
                .number("OJS_STATS_MAX_JOBS", 0, 10_000)?
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(defaults.stats_max_jobs),
            test_directives: env.flag("OJS_TEST_DIRECTIVES", false)?,
            strict_fencing: env.flag("OJS_STRICT_FENCING", defaults.strict_fencing)?,
            aws_max_attempts: env.small("OJS_AWS_MAX_ATTEMPTS", 10)?.unwrap_or(defaults.aws_max_attempts),
        })
    }
}

struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Env<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
    }

    fn number(&self, name: &'static str, min: i64, max: i64) -> Result<Option<i64>, SettingsError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<i64>() {
            Ok(n) if (min..=max).contains(&n) => Ok(Some(n)),
            _ => Err(SettingsError { variable: name, problem: format!("must be an integer from {min} to {max}") }),
        }
    }

    fn small(&self, name: &'static str, max: i64) -> Result<Option<u32>, SettingsError> {
        Ok(self.number(name, 1, max)?.and_then(|n| u32::try_from(n).ok()))
    }

    fn flag(&self, name: &'static str, default: bool) -> Result<bool, SettingsError> {
        parse_flag(name, self.text(name).as_deref(), default)
    }
}

/// Reads a boolean variable: `true`, `1`, `yes`, `on` or their opposites; unset is `default`.
///
/// # Errors
/// [`SettingsError`] for any other text.
pub fn parse_flag(name: &'static str, text: Option<&str>, default: bool) -> Result<bool, SettingsError> {
    match text.map(str::to_ascii_lowercase).as_deref() {
        None | Some("") => Ok(default),
        Some("true" | "1" | "yes" | "on") => Ok(true),
        Some("false" | "0" | "no" | "off") => Ok(false),
        Some(_) => Err(SettingsError { variable: name, problem: "must be 'true' or 'false'".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(name: &str, value: &str) -> Result<Settings, SettingsError> {
        Settings::from_lookup(|n| (n == name).then(|| value.to_owned()))
    }

    #[test]
    fn nothing_set_means_the_defaults() {
        assert_eq!(Settings::from_lookup(|_| None).unwrap(), Settings::default());
        assert_eq!(with("DYNAMODB_TABLE", "  ").unwrap(), Settings::default());
    }

    #[test]
    fn bad_values_name_their_variable() {
        for (name, value) in [
            ("SQS_USE_FIFO", "maybe"),
            ("OJS_STRICT_FENCING", "maybe"),
            ("DYNAMODB_TABLE", "a b"),
            ("SQS_QUEUE_PREFIX", "äöü"),
            ("SQS_QUEUE_PREFIX", "a-prefix-that-is-too-long"),
            ("OJS_VISIBILITY_TIMEOUT_SECONDS", "0"),
            ("OJS_VISIBILITY_TIMEOUT_SECONDS", "43201"),
            ("OJS_FETCH_WAIT_SECONDS", "21"),
            ("OJS_REQUEST_TIMEOUT_MS", "1999"),
            ("OJS_DEADLINE_MARGIN_MS", "599"),
            ("OJS_DEADLINE_MARGIN_MS", "10001"),
            ("OJS_RETENTION_COMPLETED_DAYS", "-1"),
            ("OJS_INDEX_SHARDS", "0"),
            ("OJS_CRON_MISFIRE_SECONDS", "59"),
            ("OJS_TICK_MAX_JOBS", "0"),
            ("OJS_AUDIT_ITEMS_PER_TICK", "-1"),
            ("OJS_AUDIT_PERIOD_SECONDS", "59"),
            ("OJS_AWS_MAX_ATTEMPTS", "x"),
        ] {
            assert_eq!(with(name, value).unwrap_err().variable, name, "{value}");
        }
    }

    #[test]
    fn values_are_read() {
        assert_eq!(with("OJS_FETCH_WAIT_SECONDS", "2").unwrap().fetch_wait, Duration::from_secs(2));
        assert_eq!(with("OJS_VISIBILITY_TIMEOUT_SECONDS", "60").unwrap().visibility_timeout_ms, 60_000);
        assert!(!with("OJS_LISTING_INDEX", "off").unwrap().listing_index);
    }
}
