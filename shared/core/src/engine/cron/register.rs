use super::fire::Fire;
use crate::engine::enqueue::unique::rest;
use crate::engine::{Engine, cron_raced};
use crate::store::CronUpdated;
use ojs_model::cron::{Cron, Registration};
use ojs_model::error::Result;
use ojs_model::json::Fields;

/// How often a registration is tried anew when others of the same name are faster. Of those that race one succeeds at
/// each try, so this many may register at once.
const MAX_TRIES: u32 = 100;

/// The answer to a registration.
#[derive(Debug, Clone)]
pub struct CronRegistered {
    /// The cron job.
    pub cron: Cron,
    /// Whether it is new.
    pub created: bool,
}

impl Engine {
    /// Registers a cron job, or updates the one of that name (OJS cron section 8.1): a read, one conditional write, then
    /// the message of its next occurrence if that is near. A registration that changes nothing writes nothing.
    ///
    /// An update keeps the next occurrence unless it changes the times, so that an application may register its cron jobs
    /// at every start; and whether it is enabled, unless it says so. An occurrence that is due fires before the times
    /// change.
    ///
    /// # Errors
    /// As [`Registration::parse`]; the AWS error, after which a repetition does no harm.
    pub async fn register_cron(&self, request: Fields) -> Result<CronRegistered> {
        let (registration, schedule) = Registration::parse(request, self.now_ms(), &self.ids)?;
        for tries in 1..=MAX_TRIES {
            let stored = self.store.get_cron(registration.name()).await?;
            let now = self.now_ms();
            let mut cron = match &stored {
                None => {
                    let definition = registration.created();
                    let next = definition.next_run_at(&schedule, now);
                    Cron::new(definition, next, now)
                }
                Some(old) => {
                    let definition = registration.updated(&old.definition);
                    if old.definition.same(&definition) {
                        return Ok(CronRegistered { cron: old.clone(), created: false });
                    }
                    let new_times = !old.definition.same_times(&definition);
                    let due = old.next_run_at.filter(|at| *at <= now);
                    // What was due under the old times is not lost.
                    if new_times
                        && definition.enabled
                        && due.is_some()
                        && !matches!(self.fire(old.clone(), None).await?, Fire::NotDue)
                    {
                        continue;
                    }
                    let mut cron = Cron { definition, updated_at: now, ..old.clone() };
                    if new_times {
                        cron.changed_times(&schedule, now);
                    } else if old.definition.template.queue != cron.definition.template.queue {
                        // The message that was sent ahead is in the old queue.
                        cron.woken_for = None;
                    }
                    cron
                }
            };
            let ahead = self.message_ahead(&mut cron, now);
            match self.store.put_cron(stored.as_ref(), &cron, self.ids.nonce()).await? {
                CronUpdated::Done(cron) => {
                    let created = stored.is_none();
                    tracing::info!(cron = cron.name(), created, next_run_at = cron.next_run_at, "cron job registered");
                    self.send_or_log(ahead).await;
                    return Ok(CronRegistered { cron: *cron, created });
                }
                CronUpdated::Refused(_) | CronUpdated::Missing => rest(tries.min(5)).await,
            }
        }
        Err(cron_raced(registration.name()))
    }
}
