use crate::engine::{Engine, MAX_RACES, cron_missing, cron_raced};
use crate::store::CronUpdated;
use ojs_model::cron::Cron;
use ojs_model::error::{Error, Result};

impl Engine {
    /// Enables or disables a cron job (OJS cron section 8.5): a read, one conditional write, then the message of its next
    /// occurrence if that is near. Occurrences while it is disabled are lost; one that was due when it was disabled, and
    /// that no fetch and no tick had seen, is remembered as skipped.
    ///
    /// # Errors
    /// `not_found`; the AWS error, after which a repetition does no harm.
    pub async fn set_cron_enabled(&self, name: &str, enabled: bool) -> Result<Cron> {
        for _ in 0..MAX_RACES {
            let stored = self.store.get_cron(name).await?.ok_or_else(|| cron_missing(name))?;
            if stored.definition.enabled == enabled {
                return Ok(stored);
            }
            let now = self.now_ms();
            let schedule = stored
                .definition
                .schedule()
                .map_err(|error| Error::internal(format_args!("cron job {name}: {error}")))?;
            let mut cron = stored.clone();
            cron.definition.enabled = enabled;
            cron.updated_at = now;
            cron.changed_times(&schedule, now);
            let ahead = self.message_ahead(&mut cron, now);
            match self.store.put_cron(Some(&stored), &cron, self.ids.nonce()).await? {
                CronUpdated::Done(cron) => {
                    tracing::info!(cron = name, enabled, next_run_at = cron.next_run_at, "cron job toggled");
                    self.send_or_log(ahead).await;
                    return Ok(*cron);
                }
                CronUpdated::Refused(_) => {}
                CronUpdated::Missing => return Err(cron_missing(name)),
            }
        }
        Err(cron_raced(name))
    }
}
