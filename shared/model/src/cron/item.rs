//! A cron job with what the server knows of it, and how it is shown.

use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde::{Deserialize, Serialize as DeriveSerialize};

use super::definition::Definition;
use super::schedule::Schedule;
use crate::ids::JobId;
use crate::time::format_ms;

/// Most occurrences without a job that are remembered.
pub const MAX_SKIPS: usize = 20;

/// Why an occurrence made no job (OJS cron section 9.2; `missed` is ours).
#[derive(Debug, Clone, Copy, PartialEq, Eq, DeriveSerialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The previous job had not ended.
    OverlapSkip,
    /// The cron job was disabled before a fetch or tick had seen it.
    Disabled,
    /// Clocks passed over it.
    DstSkip,
    /// Nothing looked for so long that only the latest of several occurrences fired. One entry stands for all of them.
    Missed,
}

impl SkipReason {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OverlapSkip => "overlap_skip",
            Self::Disabled => "disabled",
            Self::DstSkip => "dst_skip",
            Self::Missed => "missed",
        }
    }
}

/// An occurrence that made no job.
#[derive(Debug, Clone, PartialEq, Eq, DeriveSerialize, Deserialize)]
pub struct Skip {
    /// When it was due, ms since the Unix epoch.
    #[serde(rename = "t")]
    pub at_ms: i64,
    /// When that was found out, ms since the Unix epoch.
    #[serde(rename = "n")]
    pub noted_ms: i64,
    /// Why it made none.
    #[serde(rename = "r")]
    pub reason: SkipReason,
    /// The job that was in its way.
    #[serde(rename = "j", default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// A cron job as stored. Times are ms since the Unix epoch.
#[derive(Debug, Clone)]
pub struct Cron {
    /// What the client said.
    pub definition: Definition,
    /// Counts the writes; every write that was computed from a read is conditional on it.
    pub revision: u64,
    /// Marks the call that wrote it last, to tell its own SDK retry from another call (I5).
    pub nonce: Option<u64>,
    /// When it was registered.
    pub created_at: i64,
    /// When its definition was last changed.
    pub updated_at: i64,
    /// The occurrence that has not fired yet; `None` while it is disabled.
    pub next_run_at: Option<i64>,
    /// The occurrence that a message has been sent ahead for.
    pub woken_for: Option<i64>,
    /// The last occurrence that made a job.
    pub last_run_at: Option<i64>,
    /// That job.
    pub last_job: Option<JobId>,
    /// How many occurrences made a job.
    pub run_count: u64,
    /// How many did not, as far as it was noticed.
    pub skip_count: u64,
    /// The latest of these, oldest first; at most [`MAX_SKIPS`].
    pub skips: Vec<Skip>,
    /// How many jobs in a row had to wait for the one before.
    pub backlog: u32,
}

impl Cron {
    /// Sets the next occurrence by the schedule of its new definition: after now, and after the last one that fired, which
    /// a clock that is behind would bring back. One that was due and is given up by disabling is remembered.
    pub fn changed_times(&mut self, schedule: &Schedule, now_ms: i64) {
        if !self.definition.enabled
            && let Some(at_ms) = self.next_run_at.filter(|at| *at <= now_ms)
        {
            self.skipped(Skip { at_ms, noted_ms: now_ms, reason: SkipReason::Disabled, job: None });
        }
        let after_ms = self.last_run_at.map_or(now_ms, |last| last.max(now_ms));
        self.next_run_at = self.definition.next_run_at(schedule, after_ms);
        self.woken_for = None;
    }

    /// A cron job that has just been registered.
    #[must_use]
    pub fn new(definition: Definition, next_run_at: Option<i64>, now_ms: i64) -> Self {
        Self {
            definition,
            revision: 0,
            nonce: None,
            created_at: now_ms,
            updated_at: now_ms,
            next_run_at,
            woken_for: None,
            last_run_at: None,
            last_job: None,
            run_count: 0,
            skip_count: 0,
            skips: Vec::new(),
            backlog: 0,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// Remembers an occurrence that made no job; the oldest make room.
    pub fn skipped(&mut self, skip: Skip) {
        self.skip_count += 1;
        self.skips.push(skip);
        if self.skips.len() > MAX_SKIPS {
            self.skips.remove(0);
        }
    }

    /// The JSON that is shown of it, with the specification's and the suites' field names.
    #[must_use]
    pub fn shown(&self) -> Shown<'_> {
        Shown(self)
    }
}

/// A cron job on the wire (OJS cron section 2).
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(&'a Cron);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cron, definition) = (self.0, &self.0.definition);
        let template = definition.template.members().map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &definition.name)?;
        map.serialize_entry("expression", &definition.expression)?;
        map.serialize_entry("cron", &definition.expression)?;
        map.serialize_entry("timezone", &definition.timezone)?;
        map.serialize_entry("overlap_policy", definition.overlap.as_str())?;
        map.serialize_entry("enabled", &definition.enabled)?;
        map.serialize_entry("status", if definition.enabled { "active" } else { "disabled" })?;
        map.serialize_entry("description", &definition.description)?;
        map.serialize_entry("job_template", &definition.template.text)?;
        for name in ["type", "args", "meta", "schema"] {
            if let Some(value) = template.get(name) {
                map.serialize_entry(name, value)?;
            }
        }
        match template.get("options") {
            Some(options) => map.serialize_entry("options", options)?,
            None => map.serialize_entry("options", &serde_json::Map::new())?,
        }
        map.serialize_entry("created_at", &format_ms(cron.created_at))?;
        map.serialize_entry("updated_at", &format_ms(cron.updated_at))?;
        // Null where there is none: the specification wants that said.
        map.serialize_entry("next_run_at", &cron.next_run_at.map(format_ms))?;
        map.serialize_entry("last_run_at", &cron.last_run_at.map(format_ms))?;
        map.serialize_entry("last_job_id", &cron.last_job.as_ref().map(JobId::as_str))?;
        map.serialize_entry("run_count", &cron.run_count)?;
        map.serialize_entry("skip_count", &cron.skip_count)?;
        map.end()
    }
}
