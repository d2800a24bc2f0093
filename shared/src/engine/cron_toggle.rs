use super::{Engine, MAX_RACES, cron_missing, cron_raced};
use crate::cron::Cron;
use crate::error::Result;
use crate::store::CronUpdated;

impl Engine {
    /// Enables or disables a cron job (OJS cron section 8.5): a read, the message of its next occurrence if that is near,
    /// then one conditional write. Occurrences while it was disabled are lost.
    ///
    /// # Errors
    /// `not_found`; the AWS error, after which a repetition does no harm.
    pub async fn set_cron_enabled(&self, name: &str, enabled: bool) -> Result<Cron> {
        let now = self.now_ms();
        for _ in 0..MAX_RACES {
            let stored = self.store.get_cron(name).await?.ok_or_else(|| cron_missing(name))?;
            if stored.definition.enabled == enabled {
                return Ok(stored);
            }
            let mut cron = stored.clone();
            cron.definition.enabled = enabled;
            cron.updated_at = now;
            cron.woken_for = None;
            cron.next_run_at =
                if enabled { cron.definition.schedule()?.next(now).map(|next| next.at_ms) } else { None };
            self.wake_ahead(&mut cron, now).await?;
            match self.store.put_cron(Some(&stored), &cron, self.ids.nonce()).await? {
                CronUpdated::Done(cron) => {
                    tracing::info!(cron = name, enabled, next_run_at = cron.next_run_at, "cron job toggled");
                    return Ok(*cron);
                }
                CronUpdated::Refused(_) => {}
                CronUpdated::Missing => return Err(cron_missing(name)),
            }
        }
        Err(cron_raced(name))
    }
}
