use super::Tick;
use crate::engine::Engine;
use crate::error::Result;

/// Batches and workflows per query.
const PAGE: i32 = 50;

impl Engine {
    /// Finishes the batches and goes on with the workflows of one shard whose time has come: their requests have crashed, or
    /// ended in an outage. Whether the tick's time ended with some left.
    ///
    /// # Errors
    /// The AWS error of a query; a batch or workflow that fails stays for the next tick.
    pub(in crate::engine) async fn finish_shard(&self, shard: u32, tick: &Tick<'_>) -> Result<bool> {
        let now = self.now_ms();
        let mut after = None;
        loop {
            let page = self.store.unfinished_before(shard, now, after, PAGE).await?;
            self.look_after_batches(&page.batches, tick).await;
            self.look_after_workflows(&page.workflows, tick).await;
            match page.next {
                Some(next) if tick.has_time() => after = Some(next),
                next => return Ok(next.is_some()),
            }
        }
    }
}
