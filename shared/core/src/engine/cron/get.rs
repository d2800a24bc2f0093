use crate::engine::{Engine, cron_missing};
use ojs_model::cron::Cron;
use ojs_model::error::Result;

impl Engine {
    /// A cron job (OJS cron section 8.3): one strongly consistent read.
    ///
    /// # Errors
    /// `not_found`; the AWS error.
    pub async fn get_cron(&self, name: &str) -> Result<Cron> {
        self.store.get_cron(name).await?.ok_or_else(|| cron_missing(name))
    }
}
