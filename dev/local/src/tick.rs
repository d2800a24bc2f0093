use std::sync::Arc;
use std::time::Duration;

use ojs_core::Engine;
use tokio::sync::watch;

/// How often it ticks.
const PERIOD: Duration = Duration::from_secs(1);
/// The same with FIFO queues, whose messages cannot be delayed: the tick is all there is for a job that waits.
const FIFO_PERIOD: Duration = Duration::from_millis(100);
/// How long a tick may take, of the second that it has.
const BUDGET: Duration = Duration::from_millis(900);
/// The native dead-letter queues are looked at, and the audit goes on, every so many ticks: nothing there is urgent.
const DRAIN_EVERY: u64 = 30;

/// What EventBridge does once a minute on AWS, once a second or oftener here: the scheduler's tick and the cron tick.
pub(crate) async fn every_second(engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
    let period = if engine.settings().fifo { FIFO_PERIOD } else { PERIOD };
    let mut interval = tokio::time::interval(period);
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
        let (promoted, crons) = tokio::join!(engine.send_due(budget), engine.cron_tick(budget));
        let (mut drained, mut audited) = (Ok(()), Ok(()));
        if tick % DRAIN_EVERY == 0 {
            drained = engine.redrive(budget).await.map(|_| ());
            audited = engine.audit(budget).await.map(|_| ());
        }
        for failed in [promoted.map(|_| ()), crons.map(|_| ()), drained, audited] {
            if let Err(error) = failed {
                tracing::warn!(%error, "tick failed; the next one goes on");
            }
        }
    }
}
