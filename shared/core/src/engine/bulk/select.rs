use crate::engine::Engine;
use ojs_model::bulk::{Filter, MAX_BULK_JOBS};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;

/// Jobs read at a time: they may be large, and only their ids are kept.
const CHUNK: usize = 100;

/// The jobs that a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Selected {
    /// Their ids.
    pub(in crate::engine) ids: Vec<JobId>,
    /// Whether the queue has jobs that were not looked at.
    pub(in crate::engine) truncated: bool,
}

impl Selected {
    /// As written into the record of an idempotency key.
    pub(in crate::engine) fn to_plan(&self) -> String {
        let ids: Vec<&str> = self.ids.iter().map(JobId::as_str).collect();
        format!("{} {}", if self.truncated { "more" } else { "all" }, ids.join(","))
    }

    /// Reads [`Self::to_plan`].
    pub(in crate::engine) fn of_plan(plan: &str) -> Option<Self> {
        let (seen, ids) = plan.split_once(' ')?;
        let ids = ids.split(',').filter(|id| !id.is_empty()).map(JobId::parse).collect::<Option<_>>()?;
        Some(Self { ids, truncated: seen == "more" })
    }
}

impl Engine {
    /// The jobs that match a filter among the newest [`MAX_BULK_JOBS`] of its queue (bulk operations section 6.1): one query
    /// per shard of the listing index, which lags a little behind, and one batch read per 100 jobs, which does not.
    ///
    /// # Errors
    /// `unsupported` when the listing index is off; the AWS error.
    pub(in crate::engine) async fn select(&self, filter: &Filter) -> Result<Selected> {
        if !self.store.has_listing() {
            return Err(Error::new(
                ErrorCode::Unsupported,
                "A filter reads the listing index, which OJS_LISTING_INDEX turns off; name the jobs in 'job_ids'.",
            )
            .with("field", "filter"));
        }
        let mut newest = self.store.newest_jobs(&filter.queue, MAX_BULK_JOBS + 1).await?;
        let truncated = newest.len() > MAX_BULK_JOBS;
        newest.truncate(MAX_BULK_JOBS);
        let now = self.now_ms();
        let mut ids = Vec::new();
        for chunk in newest.chunks(CHUNK) {
            let jobs = self.only_committed(self.store.get_jobs(chunk).await?).await?;
            ids.extend(
                jobs.iter().map(|job| job.as_of(now)).filter(|job| filter.matches(job)).map(|job| job.id.clone()),
            );
        }
        Ok(Selected { ids, truncated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ojs_model::ids::Ids;

    #[test]
    fn a_plan_reads_back() {
        let ids = Ids::new();
        for (count, truncated) in [(0, false), (1, true), (3, false)] {
            let selected = Selected { ids: (0..count).map(|_| ids.job_id(1_700_000_000_000)).collect(), truncated };
            assert_eq!(Selected::of_plan(&selected.to_plan()), Some(selected));
        }
        assert_eq!(Selected::of_plan("nonsense"), None);
    }
}
