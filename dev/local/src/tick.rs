use std::sync::Arc;
use std::time::Duration;

use ojs_core::Engine;
use tokio::sync::watch;

/// Pages of due jobs per shard and tick.
const PAGES: usize = 10;

/// What EventBridge does once a minute on AWS, once a second here.
pub(crate) async fn every_second(engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let stopped = tokio::select! {
            // Fails when the stack is dropped, which ends it too.
            changed = stop.changed() => changed.is_err() || *stop.borrow(),
            _ = interval.tick() => false,
        };
        if stopped {
            return;
        }
        if let Err(error) = engine.promote(PAGES).await {
            tracing::warn!(%error, "tick failed; the next one goes on");
        }
    }
}
