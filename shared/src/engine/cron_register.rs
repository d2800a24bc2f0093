use super::{Engine, MAX_RACES, cron_raced};
use crate::cron::{Cron, Definition};
use crate::error::Result;
use crate::json::Fields;
use crate::store::CronUpdated;

/// The answer to a registration.
#[derive(Debug, Clone)]
pub struct CronRegistered {
    /// The cron job.
    pub cron: Cron,
    /// Whether it is new.
    pub created: bool,
}

impl Engine {
    /// Registers a cron job, or updates the one of that name (OJS cron section 8.1): a read, the message of its next
    /// occurrence if that is near, then one conditional write. A registration that changes nothing writes nothing.
    ///
    /// An update keeps the next occurrence unless it changes the times, so that an application may register its cron jobs
    /// at every start.
    ///
    /// # Errors
    /// As [`Definition::parse`]; the AWS error, after which a repetition does no harm.
    pub async fn register_cron(&self, request: Fields) -> Result<CronRegistered> {
        let now = self.now_ms();
        let (definition, schedule) = Definition::parse(request, now, &self.ids)?;
        let next = || if definition.enabled { schedule.next(now).map(|next| next.at_ms) } else { None };
        let mut stored = self.store.get_cron(&definition.name).await?;
        for _ in 0..MAX_RACES {
            let mut cron = match &stored {
                None => Cron::new(definition.clone(), next(), now),
                Some(old) if old.definition.same(&definition) => {
                    return Ok(CronRegistered { cron: old.clone(), created: false });
                }
                Some(old) => {
                    let mut cron = Cron { definition: definition.clone(), updated_at: now, ..old.clone() };
                    if !old.definition.same_times(&definition) {
                        cron.next_run_at = next();
                        cron.woken_for = None;
                    } else if old.definition.template.queue != definition.template.queue {
                        // The message that was sent ahead is in the old queue.
                        cron.woken_for = None;
                    }
                    cron
                }
            };
            self.wake_ahead(&mut cron, now).await?;
            match self.store.put_cron(stored.as_ref(), &cron, self.ids.nonce()).await? {
                CronUpdated::Done(cron) => {
                    let created = stored.is_none();
                    tracing::info!(cron = cron.name(), created, next_run_at = cron.next_run_at, "cron job registered");
                    return Ok(CronRegistered { cron: *cron, created });
                }
                CronUpdated::Refused(newer) => stored = Some(*newer),
                CronUpdated::Missing => stored = None,
            }
        }
        Err(cron_raced(&definition.name))
    }
}
