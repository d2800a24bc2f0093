//! Jobs that are parked under a rate limit: a partition of the due index each limit, by when their messages may be sent.

use super::attributes as job;
use crate::store::dynamo::attributes::{PK, get_n, get_s, take_s};
use crate::store::dynamo::query::Query;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::dynamo::written::Written;
use crate::store::index::due::entry;
use crate::store::{DueEntry, Store, keys, table};
use ojs_model::error::Result;

/// A parked job that has not started this long after its message was sent for the first time may get another one, ms.
pub const SENT_MS: i64 = 60_000;

/// How the attempt to reserve a parked job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// This call has it.
    Done,
    /// Another call has it.
    ByAnother,
    /// It is parked no longer.
    Left,
}

impl Store {
    /// The first `limit` jobs parked under `key` whose messages may be sent at `now_ms`, longest waiting first. The index
    /// lags.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn parked(&self, key: &str, now_ms: i64, limit: usize) -> Result<Vec<DueEntry>> {
        let (items, _) =
            self.due_page(keys::parked(key), now_ms, None, i32::try_from(limit).unwrap_or(i32::MAX)).await?;
        let entries = items.into_iter().filter_map(|mut item| entry(take_s(&mut item, PK)?, item));
        Ok(entries
            .map(|mut parked| {
                parked.job.limit = Some(key.to_owned());
                parked
            })
            .collect())
    }

    /// How many jobs are parked under `key`, `most` at most; with `sent` only those whose messages may be sent again between
    /// these two times, ms since the Unix epoch, the first one excluded.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn count_parked(&self, key: &str, sent: Option<(i64, i64)>, most: usize) -> Result<usize> {
        let sent = sent.map(|(after, until)| job::DUE_SORT.is_between(after + 1, until));
        let parked = job::DUE_PARTITION.is(keys::parked(key)).and_some(sent);
        Query::of(parked, most).count_in_index(table::DUE_INDEX, self).await
    }

    /// Reserves a parked job for the caller, which is to send its message: for a minute from `at_ms` on no other call does, and
    /// each time for twice as long, for its message may wait behind others. The job stays parked until it starts or ends, so
    /// that a caller that crashes loses nothing.
    ///
    /// # Errors
    /// The AWS error; it may be reserved.
    pub async fn reserve_parked(&self, key: &str, entry: &DueEntry, at_ms: i64) -> Result<Reserved> {
        let gap = || job::PARKED_GAP.or(SENT_MS);
        let update = UpdateItem::of(keys::job(&entry.job.id))
            .set(job::DUE_SORT, gap().plus(at_ms))
            .set(job::PARKED_GAP, gap().plus(gap()));
        self.move_parked(update, key, entry, at_ms).await
    }

    /// Moves a parked job that cannot start behind those that may be sent before `at_ms`.
    ///
    /// # Errors
    /// The AWS error; it may be moved.
    pub async fn pass_over_parked(&self, key: &str, entry: &DueEntry, at_ms: i64) -> Result<Reserved> {
        let update = UpdateItem::of(keys::job(&entry.job.id)).set(job::DUE_SORT, at_ms);
        self.move_parked(update, key, entry, at_ms).await
    }

    async fn move_parked(&self, update: UpdateItem, key: &str, entry: &DueEntry, at_ms: i64) -> Result<Reserved> {
        let partition = keys::parked(key);
        let update = update
            .when(job::DUE_PARTITION.is(&partition).and(job::DUE_SORT.is(entry.due_at)))
            .set(job::REVISION, job::REVISION.plus(1));
        let found = match update.showing_refused().update(self).await? {
            Written::Done(_) => return Ok(Reserved::Done),
            Written::Refused(found) => found.unwrap_or_default(),
        };
        // An SDK retry of an update that took effect sees its own result.
        if let (Some(send_at), Some(gap)) = (get_n(&found, job::DUE_SORT), get_n(&found, job::PARKED_GAP))
            && send_at == at_ms + gap / 2
        {
            return Ok(Reserved::Done);
        }
        let parked = get_s(&found, job::DUE_PARTITION) == Some(&partition);
        Ok(if parked { Reserved::ByAnother } else { Reserved::Left })
    }
}
