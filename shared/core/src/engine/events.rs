use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};

use super::Engine;
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::events::{EVENT_TYPES, JobEvent, events, pauses, skips};
use ojs_model::job::Job;

/// Newest jobs of a queue whose history the feed reads.
pub const FEED_JOBS_PER_QUEUE: usize = 200;
/// Most queues one request may read.
pub const FEED_QUEUES: usize = 20;
/// Cron jobs whose skipped occurrences the feed reads, by name.
pub const FEED_CRONS: usize = 200;
/// Queues read at a time.
const CONCURRENCY: usize = 4;

/// Which events to show.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Event types; all when empty.
    pub types: Vec<String>,
    /// Queues; all when empty.
    pub queues: Vec<String>,
    /// Job types; all when empty.
    pub job_types: Vec<String>,
    /// Only events after this event id.
    pub after: Option<String>,
    /// Most events to answer.
    pub limit: usize,
}

/// A page of events, oldest first.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// The events, each with the job it is about.
    pub events: Vec<JobEvent>,
    /// Whether more of them follow.
    pub has_more: bool,
}

impl Engine {
    /// The event feed (OJS events section 6.4), read off the newest [`FEED_JOBS_PER_QUEUE`] jobs of each queue, the
    /// cron jobs and the queues themselves.
    ///
    /// Without `after` the newest events are answered, with it the oldest after it; both oldest first.
    ///
    /// # Errors
    /// `invalid_request` for an unknown event type, or when there are more than [`FEED_QUEUES`] queues to read;
    /// `unsupported` when the listing index is off; the AWS error.
    pub async fn events(&self, query: EventQuery) -> Result<EventPage> {
        if let Some(unknown) = query.types.iter().find(|t| !EVENT_TYPES.contains(&t.as_str())) {
            return Err(Error::field("types", format_args!("names an unknown event type '{unknown}'"))
                .with("known", EVENT_TYPES.as_slice()));
        }
        if !self.store.has_listing() {
            return Err(Error::new(
                ErrorCode::Unsupported,
                "The event feed reads the listing index, which OJS_LISTING_INDEX turns off.",
            ));
        }
        let queues = self.feed_queues(&query.queues).await?;
        let each: Vec<_> = queues.iter().map(|queue| self.newest_jobs(queue)).collect();
        let jobs: Vec<Result<Vec<Job>>> = stream::iter(each).buffered(CONCURRENCY).collect().await;
        let now = self.now_ms();
        let mut found = Vec::new();
        for job in jobs.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            let job = job.as_of(now);
            if query.job_types.is_empty() || query.job_types.contains(&job.job_type) {
                found.extend(events(&job).into_iter().filter(|event| wanted(event, &query)));
            }
        }
        let asks =
            |kinds: &[&str]| query.types.is_empty() || query.types.iter().any(|kind| kinds.contains(&kind.as_str()));
        // Of no job type.
        if query.job_types.is_empty() && asks(&["queue.paused", "queue.resumed"]) {
            let names: Vec<&str> = queues.iter().map(String::as_str).collect();
            for (queue, state) in self.store.queue_states(&names).await? {
                found.extend(pauses(&queue, &state).into_iter().filter(|event| wanted(event, &query)));
            }
        }
        if asks(&["cron.skipped"]) {
            for cron in self.store.list_crons(None, FEED_CRONS, false).await?.crons {
                let template = &cron.definition.template;
                if queues.contains(&template.queue)
                    && (query.job_types.is_empty() || query.job_types.contains(&template.job_type))
                {
                    found.extend(skips(&cron, now).into_iter().filter(|event| wanted(event, &query)));
                }
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        let has_more = found.len() > query.limit;
        if query.after.is_some() {
            found.truncate(query.limit);
        } else if has_more {
            found.drain(..found.len() - query.limit);
        }
        Ok(EventPage { events: found, has_more })
    }

    async fn newest_jobs(&self, queue: &str) -> Result<Vec<Job>> {
        let ids = self.store.newest_jobs(queue, FEED_JOBS_PER_QUEUE).await?;
        self.only_committed(self.store.get_jobs(&ids).await?).await
    }

    /// The queues asked for, else all there are.
    async fn feed_queues(&self, asked: &[String]) -> Result<BTreeSet<String>> {
        let queues: BTreeSet<String> = if asked.is_empty() {
            let page = self.list_queues(None, FEED_QUEUES + 1).await?;
            page.queues.into_iter().map(|q| q.name).collect()
        } else {
            asked.iter().cloned().collect()
        };
        if queues.len() > FEED_QUEUES {
            return Err(Error::field(
                "queues",
                format_args!("must name at most {FEED_QUEUES} queues, and must be given where there are more"),
            )
            .with("max", FEED_QUEUES));
        }
        Ok(queues)
    }
}

fn wanted(event: &JobEvent, query: &EventQuery) -> bool {
    (query.types.is_empty() || query.types.iter().any(|t| t == event.kind))
        && query.after.as_ref().is_none_or(|after| event.id > *after)
}
