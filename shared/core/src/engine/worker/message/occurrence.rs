//! The message of a cron occurrence: its job is made by the fetch that receives it.

use super::{Seen, Sight};
use crate::engine::cron::fire::{Fire, Outcome};
use crate::transport::Received;
use ojs_model::error::{ErrorCode, Result};
use ojs_model::message::{CronTime, PUT_BACK_S};

/// What came of the message of a cron occurrence.
pub(super) enum Woken {
    /// The message is settled.
    Seen(Seen),
    /// The occurrence is over: its job is there, if it made one.
    Over,
}

impl Sight<'_> {
    /// The message of a cron occurrence whose job may not have been made.
    pub(super) async fn wake(&self, message: &Received, time: &CronTime) -> Result<Woken> {
        let engine = self.engine;
        if time.at_ms > engine.now_ms() {
            return Ok(Woken::Seen(self.not_yet(time.at_ms)));
        }
        let Some(cron) = engine.store.get_cron(&time.name).await? else { return Ok(Woken::Over) };
        match cron.next_run_at {
            // An earlier occurrence has not fired yet, and this one must not before it.
            Some(next) if next < time.at_ms => Ok(Woken::Seen(Seen::back(PUT_BACK_S))),
            Some(next) if next == time.at_ms => {
                if cron.definition.template.queue != message.line.queue {
                    // It was moved to another queue, and has a message there or fires by the tick.
                    return Ok(Woken::Seen(Seen::Stale));
                }
                match engine.fire(cron, Some(time.at_ms)).await {
                    Ok(Fire::Over { at_ms, outcome: Outcome::Skipped, .. }) if at_ms == time.at_ms => {
                        Ok(Woken::Seen(Seen::Stale))
                    }
                    // What fired may be another occurrence than this message's, which somebody else fired: the claim tells.
                    Ok(Fire::Over { .. } | Fire::NotDue | Fire::Gone) => Ok(Woken::Over),
                    Ok(Fire::Raced) => Ok(Woken::Seen(Seen::back(PUT_BACK_S))),
                    Err(error) if error.code == ErrorCode::InternalError => {
                        // It cannot fire until its definition is mended, and must not keep others' jobs back (I7).
                        Ok(Woken::Seen(Seen::back(self.rest_s(message, error.code))))
                    }
                    Err(error) => Err(error),
                }
            }
            _ => Ok(Woken::Over),
        }
    }
}
