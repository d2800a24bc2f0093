use super::item::cron_of;
use crate::store::{Store, keys};
use ojs_model::cron::Cron;
use ojs_model::error::Result;

impl Store {
    /// Reads a cron job, strongly consistent; `None` when there is none.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_cron(&self, name: &str) -> Result<Option<Cron>> {
        self.get_item(keys::cron(name)).await?.map(cron_of).transpose()
    }

    /// Reads cron jobs, strongly consistent, in no order; missing ones are left out. Answers also how many were written by
    /// a version that this one does not understand.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn get_crons(&self, names: &[String]) -> Result<(Vec<Cron>, usize)> {
        let items = self.batch_get(names.iter().map(|name| keys::cron(name)).collect()).await?;
        let wanted = items.len();
        // What is wrong with one is in the log.
        let found: Vec<Cron> = items.into_iter().filter_map(|item| cron_of(item).ok()).collect();
        let unread = wanted - found.len();
        Ok((found, unread))
    }
}
