use std::borrow::Cow;

use crate::engine::Engine;
use ojs_model::error::Result;
use ojs_model::job::{Holder, Job};

impl Engine {
    /// The job without its lapsed leases, where `OJS_STRICT_FENCING` is off and they are to refuse nothing.
    pub(in crate::engine) fn fenced<'a>(&self, stored: &'a Job) -> Cow<'a, Job> {
        if stored.lapsed.is_empty() || self.settings.strict_fencing {
            return Cow::Borrowed(stored);
        }
        let mut job = stored.clone();
        job.lapsed.clear();
        Cow::Owned(job)
    }

    /// The same for an ack, and without the lapsed leases of silent workers: those that have sent heartbeats, but none since their
    /// lease lapsed. Most of them have crashed. If one is alive, its ack reports work that was done; its nack would throw away
    /// another worker's work.
    ///
    /// One read where an ack says neither token nor worker and a lease has lapsed, else none.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::engine) async fn fenced_ack<'a>(
        &self,
        stored: &'a Job,
        holder: &Holder,
        now: i64,
    ) -> Result<Cow<'a, Job>> {
        let mut job = self.fenced(stored);
        let senders: Option<Vec<&str>> =
            job.possible_senders(holder, now).map(|lapsed| lapsed.worker.as_deref()).collect();
        // Of a worker without a name there are no heartbeats.
        let Some(senders) = senders.filter(|senders| !senders.is_empty() && holder.worker.is_none()) else {
            return Ok(job);
        };
        let beats = self.store.heartbeats(&senders).await?;
        job.to_mut().lapsed.retain(|lapsed| {
            let beat = lapsed.worker.as_ref().and_then(|worker| beats.get(worker));
            beat.is_none_or(|beat| *beat > lapsed.at_ms)
        });
        Ok(job)
    }
}
