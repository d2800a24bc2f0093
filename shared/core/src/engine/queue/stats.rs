use futures::future::{try_join, try_join_all};

use crate::engine::Engine;
use crate::transport::SqsQueue;
use ojs_model::error::Result;
use ojs_model::job::State;
use ojs_model::queue::{Live, QueueState, QueueStats};

impl Engine {
    /// How many jobs a queue has by state (HTTP binding section 11.2).
    ///
    /// Jobs that have ended are counted as they end. The others are counted one by one up to `OJS_STATS_MAX_JOBS` jobs, if
    /// the listing index is on; then those count as discarded that the clock has ended and no fetch or tick has written down
    /// yet. Beyond that number SQS's numbers of messages are answered, one call per priority in use. A queue that was never
    /// used has none.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn queue_stats(&self, queue: &str) -> Result<QueueStats> {
        let now = self.now_ms();
        let ((state, mut ended), exact) = try_join(self.store.queue_counts(queue), self.count_live(queue, now)).await?;
        let live = match exact {
            Some((live, discarded)) => {
                ended.discarded += discarded;
                live
            }
            None => self.estimate_live(queue, &state).await?,
        };
        Ok(QueueStats { state, live, ended, computed_at: now })
    }

    /// Looks at each job; `None` where there are too many. Beside those that live, how many the clock has discarded though
    /// nothing says so yet, neither their items nor the counters.
    async fn count_live(&self, queue: &str, now: i64) -> Result<Option<(Live, u64)>> {
        let most = self.settings.stats_max_jobs;
        if most == 0 || !self.store.has_listing() {
            return Ok(None);
        }
        let ids = self.store.newest_jobs(queue, most + 1).await?;
        if ids.len() > most {
            return Ok(None);
        }
        let jobs = self.only_committed(self.store.get_jobs(&ids).await?).await?;
        let mut discarded = 0;
        let mut live = Live { retryable: Some(0), pending: Some(0), exact: true, ..Live::default() };
        // One that an operator has moved is in the index of its old queue.
        for job in jobs.iter().filter(|job| job.queue == queue) {
            match job.as_of(now).state {
                State::Available => live.available += 1,
                State::Active => live.active += 1,
                State::Scheduled => live.scheduled += 1,
                State::Retryable => *live.retryable.get_or_insert(0) += 1,
                State::Pending => *live.pending.get_or_insert(0) += 1,
                State::Discarded if !job.state.is_terminal() => discarded += 1,
                State::Completed | State::Cancelled | State::Discarded => {}
            }
        }
        Ok(Some((live, discarded)))
    }

    async fn estimate_live(&self, queue: &str, state: &QueueState) -> Result<Live> {
        let sqs_queues: Vec<SqsQueue> =
            state.tiers_down().into_iter().map(|tier| SqsQueue::tier(queue, tier)).collect();
        let mut live = Live::default();
        for depth in try_join_all(sqs_queues.iter().map(|sqs_queue| self.transport.depth(sqs_queue))).await? {
            live.available += depth.visible;
            live.active += depth.in_flight;
            live.scheduled += depth.delayed;
        }
        Ok(live)
    }
}
