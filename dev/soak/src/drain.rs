//! The end of a run: waits until nothing is under way any more.

use std::collections::HashSet;
use std::time::Duration;

use crate::Outcome;
use crate::ghosts::{belongs_to, ghosts};
use crate::stage::Stage;
use crate::table::{self, Item};

/// How often the progress is told.
const TELL: Duration = Duration::from_secs(10);

/// States that never change.
pub(crate) const TERMINAL: &[&str] = &["completed", "cancelled", "discarded"];

/// Waits until everything has ended, for `patience` at most; the table as it is then. Slots of limits are the probe's.
/// Jobs that are neither `promised` nor have a message are not waited for.
pub(crate) async fn everything_ends(
    stage: &Stage,
    mode: &str,
    promised: &HashSet<String>,
    patience: Duration,
) -> Outcome<Vec<Item>> {
    let mut told = tokio::time::Instant::now();
    let until = told + patience;
    loop {
        let items = table::scan(stage.aws.dynamodb.url()).await?;
        let ghosts = ghosts(&items, promised);
        let waits = |item: &&Item| is_under_way(item) && !belongs_to(item, &ghosts) && !item.pk().starts_with("LIMIT#");
        let under_way = items.iter().filter(waits).count();
        let messages = stage.aws.sqs.message_count();
        if (under_way == 0 && messages == 0) || tokio::time::Instant::now() > until {
            return Ok(items);
        }
        if tokio::time::Instant::now() > told + TELL {
            told = tokio::time::Instant::now();
            println!("soak {mode}: {under_way} items under way, {messages} messages");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Whether an item stands for something that has not ended.
pub(crate) fn is_under_way(item: &Item) -> bool {
    let pk = item.pk();
    let in_due_index = item.has("dup");
    if item.job_id().is_some() {
        // A job of a batch that was aborted is never there; the tick deletes it with the batch.
        return in_due_index || !TERMINAL.contains(&item.state());
    }
    if pk.starts_with("BATCH#") {
        // An aborted batch is remembered for an hour.
        return item.state() != "aborted";
    }
    if item.workflow_id().is_some() {
        return in_due_index || item.state() == "running";
    }
    if pk.starts_with("LIMIT#") {
        return item.has("ho");
    }
    pk.starts_with("UNIQUE#") && !item.has("ttl")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn item(value: Value) -> Item {
        Item(value.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn what_is_under_way_is_known_by_kind_and_state() {
        let of = |pk: &str, sk: &str, s: &str| json!({"pk": {"S": pk}, "sk": {"S": sk}, "s": {"S": s}});
        for (value, expected) in [
            (of("JOB#x", "J", "available"), true),
            (of("JOB#x", "J", "completed"), false),
            (of("WORKFLOW#x", "M", "running"), true),
            (of("WORKFLOW#x", "M", "failed"), false),
            (of("WORKFLOW#x", "D", ""), false),
            (of("BATCH#x", "B", "open"), true),
            (of("BATCH#x", "B", "aborted"), false),
            (of("UNIQUE#x", "U", ""), true),
            (of("LIMIT#x", "L", ""), false),
            (of("QUEUES", "x", ""), false),
        ] {
            assert_eq!(is_under_way(&item(value.clone())), expected, "{value}");
        }
        let mut parked = of("JOB#x", "J", "completed");
        parked["dup"] = json!({"S": "PARKED#k"});
        assert!(is_under_way(&item(parked)));
        let mut held = of("LIMIT#k", "L", "");
        held["ho"] = json!({"S": "{}"});
        assert!(is_under_way(&item(held)));
    }
}
