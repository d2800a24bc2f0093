//! One time of a cron job: which it is, what follows it, and the id of its job.

use sha2::{Digest, Sha256};

use super::item::{Cron, Skip, SkipReason};
use super::schedule::Schedule;
use crate::ids::JobId;

/// An occurrence whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When it was due, ms since the Unix epoch.
    pub at_ms: i64,
    /// The moment as of which the overlap policy decides, ms since the Unix epoch.
    pub as_of_ms: i64,
    /// The first of the occurrences before it that nothing looked at in time; they are lost.
    pub missed_since_ms: Option<i64>,
}

/// The occurrence to fire at `now_ms`, if any.
///
/// One that has been due for `misfire_ms` at most fires as if it had been looked at on its second. Where nothing has
/// looked for longer, the latest occurrence fires, once, and those before it are lost (OJS cron section 7.3).
#[must_use]
pub fn due(cron: &Cron, schedule: &Schedule, now_ms: i64, misfire_ms: i64) -> Option<Due> {
    let at_ms = cron.next_run_at.filter(|at| *at <= now_ms)?;
    if now_ms - at_ms <= misfire_ms {
        return Some(Due { at_ms, as_of_ms: at_ms, missed_since_ms: None });
    }
    let latest = schedule.latest(at_ms, now_ms);
    Some(Due { at_ms: latest, as_of_ms: now_ms, missed_since_ms: (latest > at_ms).then_some(at_ms) })
}

/// How an occurrence ended.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Its job was made, and (`behind`) waits for the one before.
    Fired {
        /// The job.
        job: JobId,
        /// Whether it waits.
        behind: bool,
    },
    /// This job was in its way.
    Skipped(JobId),
    /// Its job had been made before.
    Known,
}

impl Cron {
    /// The cron job once `due` is over: its next time, and what is remembered.
    #[must_use]
    pub fn after(&self, due: &Due, progress: &Progress, schedule: &Schedule, now_ms: i64) -> Self {
        let mut cron = self.clone();
        let noted_ms = now_ms;
        if let Some(at_ms) = due.missed_since_ms {
            cron.skipped(Skip { at_ms, noted_ms, reason: SkipReason::Missed, job: None });
        }
        match progress {
            Progress::Fired { job, behind } => {
                cron.last_run_at = Some(due.at_ms);
                cron.last_job = Some(job.clone());
                cron.run_count += 1;
                cron.backlog = if *behind { cron.backlog.saturating_add(1) } else { 0 };
            }
            Progress::Skipped(job) => {
                let job = Some(job.as_str().to_owned());
                cron.skipped(Skip { at_ms: due.at_ms, noted_ms, reason: SkipReason::OverlapSkip, job });
            }
            Progress::Known => {
                cron.last_run_at = Some(due.at_ms);
                cron.last_job = Some(job_id(&cron.definition.name, due.at_ms));
            }
        }
        let next = schedule.next(due.at_ms);
        if let Some(at_ms) = next.and_then(|next| next.passed_over_ms) {
            cron.skipped(Skip { at_ms, noted_ms, reason: SkipReason::DstSkip, job: None });
        }
        cron.next_run_at = next.map(|next| next.at_ms);
        cron
    }
}

/// The id of the job of one occurrence: a UUIDv7 of its time whose other bits follow from name and time, so that every process that
/// fires it makes the same job (I5).
#[must_use]
pub fn job_id(name: &str, at_ms: i64) -> JobId {
    let digest = Sha256::new()
        .chain_update("ojs cron\0")
        .chain_update(name)
        .chain_update("\0")
        .chain_update(at_ms.to_be_bytes());
    let mut bits = [0; 10];
    bits.copy_from_slice(&digest.finalize()[..10]);
    JobId::derived(at_ms, &bits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cron::Registration;
    use crate::ids::Ids;
    use crate::json::Fields;

    const NOW: i64 = 1_795_510_800_000; // 2026-11-24T09:00:00Z
    const MINUTE: i64 = 60_000;

    fn cron(expression: &str, zone: &str) -> (Cron, Schedule) {
        let body = format!(r#"{{"name":"a","cron":"{expression}","timezone":"{zone}","type":"t"}}"#);
        let (definition, schedule) =
            Registration::parse(Fields::from_body(body.as_bytes()).unwrap(), NOW, &Ids::new()).unwrap();
        let definition = definition.created();
        let next = schedule.next(NOW).map(|next| next.at_ms);
        (Cron::new(definition, next, NOW), schedule)
    }

    #[test]
    fn a_little_late_every_occurrence_fires_and_long_after_only_the_latest() {
        let (cron, schedule) = cron("* * * * *", "UTC");
        let due = |now| due(&cron, &schedule, now, 2 * MINUTE);
        assert_eq!(due(NOW + MINUTE - 1), None);
        let first = Due { at_ms: NOW + MINUTE, as_of_ms: NOW + MINUTE, missed_since_ms: None };
        assert_eq!(due(NOW + MINUTE), Some(first));
        assert_eq!(due(NOW + 3 * MINUTE), Some(first));
        let now = NOW + 10 * MINUTE + 5;
        let late = Due { at_ms: NOW + 10 * MINUTE, as_of_ms: now, missed_since_ms: Some(NOW + MINUTE) };
        assert_eq!(due(now), Some(late));
        let after = cron.after(&late, &Progress::Fired { job: job_id("a", late.at_ms), behind: false }, &schedule, now);
        assert_eq!((after.next_run_at, after.last_run_at), (Some(NOW + 11 * MINUTE), Some(NOW + 10 * MINUTE)));
        assert_eq!((after.run_count, after.skip_count, after.skips[0].reason), (1, 1, SkipReason::Missed));
    }

    #[test]
    fn one_missed_occurrence_is_late_and_not_lost() {
        let (cron, schedule) = cron("@hourly", "UTC");
        let now = NOW + 90 * MINUTE;
        let due = due(&cron, &schedule, now, 2 * MINUTE).unwrap();
        assert_eq!(due, Due { at_ms: NOW + 60 * MINUTE, as_of_ms: now, missed_since_ms: None });
    }

    #[test]
    fn what_did_not_fire_is_remembered() {
        let (mut cron, schedule) = cron("30 2 * * *", "America/New_York");
        // The day before clocks pass over 2:30.
        let at_ms = schedule.next(1_804_900_000_000).unwrap().at_ms;
        cron.next_run_at = Some(at_ms);
        let due = due(&cron, &schedule, at_ms, MINUTE).unwrap();
        let blocker = Ids::new().job_id(NOW);
        let after = cron.after(&due, &Progress::Skipped(blocker.clone()), &schedule, at_ms);
        let reasons: Vec<_> = after.skips.iter().map(|skip| skip.reason).collect();
        assert_eq!(reasons, [SkipReason::OverlapSkip, SkipReason::DstSkip]);
        assert_eq!(after.skips[0].job.as_deref(), Some(blocker.as_str()));
        assert_eq!((after.run_count, after.last_run_at, after.skip_count), (0, None, 2));
        let mut many = after;
        for _ in 0..50 {
            many = many.after(&due, &Progress::Skipped(blocker.clone()), &schedule, at_ms);
        }
        assert_eq!(many.skips.len(), crate::cron::MAX_SKIPS);
    }

    #[test]
    fn ids_follow_from_name_and_time() {
        let id = job_id("daily", NOW);
        assert_eq!(id, job_id("daily", NOW));
        assert_eq!(JobId::parse(id.as_str()), Some(id.clone()));
        assert!(id != job_id("daily", NOW + 1) && id != job_id("daily2", NOW));
        assert!(id < job_id("daily", NOW + 1_000), "ids sort by time");
    }
}
