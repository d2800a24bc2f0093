use super::{Engine, cron_missing};
use crate::cron::Cron;
use crate::error::Result;

impl Engine {
    /// A cron job (OJS cron section 8.3): one strongly consistent read.
    ///
    /// # Errors
    /// `not_found`; the AWS error.
    pub async fn get_cron(&self, name: &str) -> Result<Cron> {
        self.store.get_cron(name).await?.ok_or_else(|| cron_missing(name))
    }
}
