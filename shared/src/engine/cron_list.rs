use super::Engine;
use crate::cron::Cron;
use crate::error::Result;

/// Which cron jobs to list.
#[derive(Debug, Clone, Default)]
pub struct CronQuery {
    /// From after this name on.
    pub after: Option<String>,
    /// How many to pass over; each is read.
    pub offset: usize,
    /// Only enabled, or only disabled ones.
    pub enabled: Option<bool>,
    /// How many to answer.
    pub limit: usize,
}

/// A page of cron jobs by name.
#[derive(Debug, Clone)]
pub struct CronPage {
    /// The cron jobs.
    pub crons: Vec<Cron>,
    /// The name after which the next page starts; `None` on the last.
    pub next: Option<String>,
}

impl Engine {
    /// Cron jobs by name (OJS cron section 8.2), strongly consistent: one query per shard. A page may have fewer than
    /// `limit` though more follow: with `enabled`, and where templates are large.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn list_crons(&self, query: CronQuery) -> Result<CronPage> {
        let wanted = query.offset + query.limit;
        let list = self.store.list_crons(query.after.as_deref(), wanted, true).await?;
        let mut crons = list.crons;
        let next = crons.last().filter(|_| list.more).map(|cron| cron.name().to_owned());
        crons.drain(..query.offset.min(crons.len()));
        crons.retain(|cron| query.enabled.is_none_or(|enabled| cron.definition.enabled == enabled));
        Ok(CronPage { crons, next })
    }
}
