use super::Tick;
use crate::engine::Engine;
use ojs_model::error::Result;

/// Batches, workflows and rate limits per query.
const PAGE: i32 = 50;
/// Most rate limits of a shard that one tick looks at: tenants choose how many there are.
const MAX_LIMITS: usize = 5_000;

impl Engine {
    /// Finishes the batches and goes on with the workflows of one shard whose time has come: their requests have crashed, or
    /// ended in an outage. Then looks at the parked jobs of rate limits, which must not keep those back. Whether the tick's
    /// time ended with some left.
    ///
    /// # Errors
    /// The AWS error of a query; what fails stays for the next tick.
    pub(in crate::engine) async fn finish_shard(&self, shard: u32, tick: &Tick<'_>) -> Result<bool> {
        let now = self.now_ms();
        let (mut after, mut limits) = (None, Vec::new());
        let more = loop {
            let page = self.store.unfinished_before(shard, now, after, PAGE).await?;
            self.conclude_batches(&page.batches, tick).await;
            self.resume_workflows(&page.workflows, tick).await;
            limits.extend(page.limits.into_iter().map(|(key, _)| key));
            match page.next {
                Some(next) if tick.has_time() && limits.len() < MAX_LIMITS => after = Some(next),
                next => break next.is_some(),
            }
        };
        Ok(self.sweep_limits(&limits, tick).await || more)
    }
}
