use super::attributes as cron;
use crate::store::dynamo::attributes::{SK, get_n, take_s};
use crate::store::index::due::Place;
use crate::store::{Store, keys};
use ojs_model::cron::job_id;
use ojs_model::error::Result;
use ojs_model::message::{CronTime, JobRef};

/// A cron job in the due index: all that is needed to send a message ahead for its next occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronDueEntry {
    /// Its name.
    pub name: String,
    /// The message of its next occurrence.
    pub message: JobRef,
    /// Its next occurrence, ms since the Unix epoch.
    pub next_run_at: i64,
    /// Whether a message has been sent ahead for it.
    pub woken: bool,
}

impl Store {
    /// The first `limit` cron jobs of one shard after `after` whose next occurrence is at `until_ms` or before; and where the
    /// next page starts, if there may be one.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn crons_due_before(
        &self,
        shard: u32,
        until_ms: i64,
        after: Option<Place>,
        limit: i32,
    ) -> Result<(Vec<CronDueEntry>, Option<Place>)> {
        let (items, next) = self.due_page(keys::cron_pk(shard), until_ms, after, limit).await?;
        let entries = items.into_iter().filter_map(|mut item| {
            let next_run_at = get_n(&item, cron::DUE_SORT)?;
            let name = take_s(&mut item, SK)?;
            let message = JobRef {
                id: job_id(&name, next_run_at),
                job_type: take_s(&mut item, cron::JOB_TYPE)?,
                queue: take_s(&mut item, cron::QUEUE)?,
                priority: get_n(&item, cron::PRIORITY).unwrap_or(0),
                group: take_s(&mut item, cron::GROUP),
                due_at: None,
                limit: None,
                wakes: Some(CronTime { name: name.clone(), at_ms: next_run_at }),
            };
            Some(CronDueEntry { woken: get_n(&item, cron::WOKEN_FOR) == Some(next_run_at), name, message, next_run_at })
        });
        Ok((entries.collect(), next))
    }
}
