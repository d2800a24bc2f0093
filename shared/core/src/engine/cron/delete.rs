use crate::engine::{Engine, cron_missing};
use ojs_model::cron::Cron;
use ojs_model::error::Result;

impl Engine {
    /// Removes a cron job (OJS cron section 8.4): one delete. The jobs that it has made are not touched; a message that was
    /// sent ahead is dropped when it comes.
    ///
    /// # Errors
    /// `not_found`; the AWS error, after which it may be gone.
    pub async fn delete_cron(&self, name: &str) -> Result<Cron> {
        let cron = self.store.delete_cron(name).await?.ok_or_else(|| cron_missing(name))?;
        tracing::info!(cron = name, "cron job deleted");
        Ok(cron)
    }
}
