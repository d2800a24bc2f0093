use crate::engine::{Engine, MAX_ANSWER_BYTES};
use ojs_model::cron::Cron;
use ojs_model::error::Result;
use ojs_model::json::escaped_bytes;

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
        let mut next = crons.last().filter(|_| list.more).map(|cron| cron.name().to_owned());
        crons.drain(..query.offset.min(crons.len()));
        crons.retain(|cron| query.enabled.is_none_or(|enabled| cron.definition.enabled == enabled));
        if let Some(fits) = too_large(&crons) {
            crons.truncate(fits);
            next = crons.last().map(|cron| cron.name().to_owned());
        }
        Ok(CronPage { crons, next })
    }
}

/// How many of these fit into an answer, which has each of them twice; `None` where all do. The first always does.
fn too_large(crons: &[Cron]) -> Option<usize> {
    let mut bytes = 0;
    crons.iter().position(|cron| {
        bytes += 2 * serde_json::to_vec(&cron.shown()).map_or(0, |text| escaped_bytes(&text) + 1);
        bytes > MAX_ANSWER_BYTES
    })
}
