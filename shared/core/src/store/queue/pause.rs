use super::state::state_of;
use super::{attributes as queue, registry_attributes as registry};
use crate::store::dynamo::attributes::{Attribute, get_n};
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::dynamo::written::{Written, answered};
use crate::store::{Store, keys};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::queue::QueueState;

/// Most tries of a request that finds a later mark than its own, each with a mark after the one found.
const MAX_TRIES: u32 = 5;

impl Store {
    /// Pauses a queue, unless it is paused: an update of its state, which counts, then one of its entry in the registry,
    /// which lists show.
    ///
    /// # Errors
    /// The AWS error; it may be paused. A repetition does no harm.
    pub async fn pause_queue(&self, name: &str, now_ms: i64) -> Result<QueueState> {
        let state = |at| {
            mark(keys::queue_state(name), queue::PAUSE_MARK, at)
                .set(queue::PAUSED_AT, queue::PAUSED_AT.or(now_ms))
                .set(queue::LAST_PAUSED_AT, queue::PAUSED_AT.or(now_ms))
        };
        let entry = |at| {
            mark(keys::queue(name), registry::PAUSE_MARK, at)
                .set(registry::CREATED_AT, registry::CREATED_AT.or(now_ms))
                .set(registry::PAUSED_AT, registry::PAUSED_AT.or(now_ms))
        };
        self.change_queue(state, entry, now_ms).await
    }

    /// Resumes a queue. The same calls.
    ///
    /// # Errors
    /// As [`Self::pause_queue`].
    pub async fn resume_queue(&self, name: &str, now_ms: i64) -> Result<QueueState> {
        let state = |at| {
            mark(keys::queue_state(name), queue::PAUSE_MARK, at)
                .set(queue::RESUMED_AT, now_ms)
                .remove([queue::PAUSED_AT])
        };
        let entry = |at| {
            mark(keys::queue(name), registry::PAUSE_MARK, at)
                .set(registry::CREATED_AT, registry::CREATED_AT.or(now_ms))
                .remove([registry::PAUSED_AT])
        };
        self.change_queue(state, entry, now_ms).await
    }

    /// Writes the state, then the entry, both with the first mark from `now_ms` on that is later than the state's.
    async fn change_queue(
        &self,
        state: impl Fn(i64) -> UpdateItem,
        entry: impl Fn(i64) -> UpdateItem,
        now_ms: i64,
    ) -> Result<QueueState> {
        let mut at = now_ms;
        for _ in 0..MAX_TRIES {
            match state(at).returning_new(self).await? {
                Written::Done(item) => {
                    // A refusal shows what a later request has written.
                    entry(at).update(self).await?;
                    return Ok(state_of(&answered(item)?));
                }
                Written::Refused(item) => {
                    at = item.and_then(|item| get_n(&item, queue::PAUSE_MARK)).unwrap_or(at) + 1;
                }
            }
        }
        Err(Error::new(ErrorCode::BackendUnavailable, "The queue keeps changing; try again shortly."))
    }
}

/// An update that bears a mark, a time in ms, and takes effect only over an earlier mark: a request that hung and arrives late
/// changes nothing.
fn mark(key: keys::Key, mark: Attribute, at: i64) -> UpdateItem {
    UpdateItem::of(key).when(mark.is_absent().or(mark.below(at))).set(mark, at)
}
