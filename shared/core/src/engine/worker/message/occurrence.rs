//! The message of a cron occurrence: its job is made by the fetch that receives it.

use super::{Handled, MessageHandler};
use crate::engine::cron::fire::{Fire, Outcome};
use crate::transport::Received;
use ojs_model::error::{ErrorCode, Result};
use ojs_model::message::{CronTime, PUT_BACK_S};

/// What came of the message of a cron occurrence.
pub(super) enum Occurrence {
    /// The message is settled.
    Handled(Handled),
    /// The occurrence is over: its job is there, if it made one.
    Over,
}

impl MessageHandler<'_> {
    /// The message of a cron occurrence whose job may not have been made.
    pub(super) async fn make_occurrence(&self, message: &Received, time: &CronTime) -> Result<Occurrence> {
        let engine = self.engine;
        if time.at_ms > engine.now_ms() {
            return Ok(Occurrence::Handled(self.not_yet(time.at_ms)));
        }
        let Some(cron) = engine.store.get_cron(&time.name).await? else { return Ok(Occurrence::Over) };
        match cron.next_run_at {
            // An earlier occurrence has not fired yet, and this one must not before it.
            Some(next) if next < time.at_ms => Ok(Occurrence::Handled(Handled::back(PUT_BACK_S))),
            Some(next) if next == time.at_ms => {
                if cron.definition.template.queue != message.sqs_queue.queue {
                    // It was moved to another queue, and has a message there or fires by the tick.
                    return Ok(Occurrence::Handled(Handled::Stale));
                }
                match engine.fire(cron, Some(time.at_ms)).await {
                    Ok(Fire::Over { at_ms, outcome: Outcome::Skipped, .. }) if at_ms == time.at_ms => {
                        Ok(Occurrence::Handled(Handled::Stale))
                    }
                    // What fired may be another occurrence than this message's, which another process fired: the claim tells.
                    Ok(Fire::Over { .. } | Fire::NotDue | Fire::Gone) => Ok(Occurrence::Over),
                    Ok(Fire::Raced) => Ok(Occurrence::Handled(Handled::back(PUT_BACK_S))),
                    Err(error) if error.code == ErrorCode::InternalError => {
                        // It cannot fire until its definition is mended, and must not keep others' jobs back (I7).
                        Ok(Occurrence::Handled(Handled::back(self.rest_s(message, error.code))))
                    }
                    Err(error) => Err(error),
                }
            }
            _ => Ok(Occurrence::Over),
        }
    }
}
