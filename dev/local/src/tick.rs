use std::sync::Arc;
use std::time::Duration;

use ojs_core::Engine;
use tokio::sync::watch;

/// How long a tick may take, of the second that it has.
const BUDGET: Duration = Duration::from_millis(900);
/// The native dead-letter queues are looked at every so many ticks: nothing in them is urgent.
const DRAIN_EVERY: u64 = 30;

/// What EventBridge does once a minute on AWS, once a second here: the scheduler's tick and the cron tick.
pub(crate) async fn every_second(engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for tick in 0_u64.. {
        let stopped = tokio::select! {
            // Fails when the stack is dropped, which ends it too.
            changed = stop.changed() => changed.is_err() || *stop.borrow(),
            _ = interval.tick() => false,
        };
        if stopped {
            return;
        }
        let budget = engine.tick_budget(BUDGET);
        let (promoted, crons) = tokio::join!(engine.promote(budget), engine.cron_tick(budget));
        let drained =
            if tick % DRAIN_EVERY == 0 { engine.drain_dead_letters(budget).await.map(|_| ()) } else { Ok(()) };
        for failed in [promoted.map(|_| ()), crons.map(|_| ()), drained] {
            if let Err(error) = failed {
                tracing::warn!(%error, "tick failed; the next one goes on");
            }
        }
    }
}
