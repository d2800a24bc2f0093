use super::Engine;
use crate::cron::Cron;
use crate::error::Result;

/// Most bytes of cron jobs in one answer.
const MAX_PAGE_BYTES: usize = 2_000_000;

/// A page of cron jobs by name.
#[derive(Debug, Clone)]
pub struct CronPage {
    /// The cron jobs.
    pub crons: Vec<Cron>,
    /// The name after which the next page starts; `None` on the last.
    pub next: Option<String>,
}

impl Engine {
    /// Cron jobs by name (OJS cron section 8.2), strongly consistent: one query of `limit` entries per shard. With
    /// `enabled`, only such; a page may then have fewer than `limit` though more follow.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_crons(&self, after: Option<&str>, enabled: Option<bool>, limit: usize) -> Result<CronPage> {
        let mut crons = self.store.list_crons(after, limit + 1).await?;
        let mut more = crons.len() > limit;
        crons.truncate(limit);
        // A page of large templates ends early; the first is answered whatever its size.
        let mut bytes = 0;
        let fits = crons.iter().position(|cron| {
            bytes += 2 * cron.definition.template.text.get().len() + 1_000;
            bytes > MAX_PAGE_BYTES
        });
        if let Some(fits) = fits.map(|fits| fits.max(1)).filter(|fits| *fits < crons.len()) {
            crons.truncate(fits);
            more = true;
        }
        let next = crons.last().filter(|_| more).map(|cron| cron.name().to_owned());
        crons.retain(|cron| enabled.is_none_or(|enabled| cron.definition.enabled == enabled));
        Ok(CronPage { crons, next })
    }
}
