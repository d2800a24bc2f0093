//! Jobs of requests that were never answered, whose process was killed after the put and before the send.
//!
//! Nothing was promised of them, and no message is there to run them. Requests that come across them and the audit send them
//! again, but not before two minutes (ADR 0031), so that a soak counts them and does not wait.

use std::collections::HashSet;

use crate::table::Item;

/// Types of jobs that are enqueued one by one. Batches, workflows and cron jobs are finished by ticks.
const SINGLE: &[&str] = &["soak.plain", "soak.scheduled", "soak.limited", "soak.watched", "soak.unique"];

/// Ids of such jobs among the items of the table, and of those that a killed tick or a late write has left of an aborted
/// batch: no request sees them, and a tick deletes them with the batch's mark after an hour.
pub(crate) fn ghosts(items: &[Item], promised: &HashSet<String>) -> HashSet<String> {
    let aborted =
        items.iter().filter(|item| item.state() == "aborted").filter_map(|item| item.pk().strip_prefix("BATCH#"));
    let aborted: HashSet<&str> = aborted.collect();
    let of_aborted = |item: &&Item| item.text("bt").is_some_and(|batch| aborted.contains(batch));
    let ids = items.iter().filter(|item| is_ghost(item) || of_aborted(item)).filter_map(Item::job_id);
    ids.filter(|id| !promised.contains(*id)).map(str::to_owned).collect()
}

fn is_ghost(item: &Item) -> bool {
    let single = item.text("ty").is_some_and(|kind| SINGLE.contains(&kind));
    let never_ran = item.text("n").is_none_or(|attempt| attempt == "0") && !item.has("dup");
    single && never_ran && ["available", "scheduled"].contains(&item.state())
}

/// Whether an item is such a job, or the lock that it holds.
pub(crate) fn belongs_to(item: &Item, ghosts: &HashSet<String>) -> bool {
    let job = if item.pk().starts_with("UNIQUE#") { item.text("j") } else { item.job_id() };
    job.is_some_and(|id| ghosts.contains(id))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn item(value: Value) -> Item {
        Item(value.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn only_jobs_that_were_not_promised_and_never_ran_are_ghosts() {
        let job = |id: &str, state: &str| {
            item(json!({"pk": {"S": format!("JOB#{id}")}, "ty": {"S": "soak.plain"}, "s": {"S": state}}))
        };
        let mut ran = job("ran", "available");
        ran.0.insert("n".to_owned(), json!({"N": "1"}));
        let of_batch = |id: &str, batch: &str| {
            let mut job = job(id, "available");
            job.0.insert("ty".to_owned(), json!({"S": "soak.batch"}));
            job.0.insert("bt".to_owned(), json!({"S": batch}));
            job
        };
        let batch = |id: &str, state: &str| item(json!({"pk": {"S": format!("BATCH#{id}")}, "s": {"S": state}}));
        let items = [
            job("a", "available"),
            job("promised", "available"),
            job("active", "active"),
            ran,
            batch("gone", "aborted"),
            batch("open", "open"),
            of_batch("invisible", "gone"),
            of_batch("undecided", "open"),
        ];
        let found = ghosts(&items, &HashSet::from(["promised".to_owned()]));
        assert_eq!(found, HashSet::from(["a".to_owned(), "invisible".to_owned()]));
        assert!(belongs_to(&items[0], &found) && !belongs_to(&items[1], &found));
        assert!(belongs_to(&item(json!({"pk": {"S": "UNIQUE#x"}, "j": {"S": "a"}})), &found));
    }
}
