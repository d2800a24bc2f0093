use super::Transport;
use ojs_model::message::JobRef;
use ojs_model::message::MAX_DELAY_S;

impl Transport {
    /// The message group: what orders messages on a FIFO queue, where there must be one, and shares a standard queue fairly,
    /// where there need not.
    pub(super) fn group_of(&self, job: &JobRef) -> Option<String> {
        job.group.clone().or_else(|| self.fifo.then(|| job.queue.clone()))
    }

    /// One for each send: it recognises the SDK's retries. A message that is sent again on purpose must not be swallowed.
    pub(super) fn deduplication_id(&self, job: &JobRef) -> Option<String> {
        self.fifo.then(|| format!("{}-{:016x}", job.id, fastrand::u64(..)))
    }

    pub(super) fn delay_of(&self, delay_s: i64) -> Option<i32> {
        let delay_s = i32::try_from(delay_s.clamp(0, MAX_DELAY_S)).unwrap_or(0);
        (delay_s > 0 && !self.fifo).then_some(delay_s)
    }
}
