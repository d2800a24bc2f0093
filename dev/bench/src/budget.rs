//! What operations may take: the numbers of the design (section 5, "Operations and their budget") and of the issue.

use crate::cost::Row;

/// Counts are means of whole numbers.
const EPSILON: f64 = 1e-6;

/// The most that one operation may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    operation: &'static str,
    /// Args up to which `wcu` holds; the calls hold for all sizes.
    args_bytes: usize,
    listing_index: bool,
    dynamodb_calls: f64,
    sqs_calls: f64,
    wcu: f64,
}

const fn listed(operation: &'static str, dynamodb_calls: f64, sqs_calls: f64, wcu: f64) -> Budget {
    Budget { operation, args_bytes: 200, listing_index: true, dynamodb_calls, sqs_calls, wcu }
}

const fn unlisted(operation: &'static str, dynamodb_calls: f64, sqs_calls: f64, wcu: f64) -> Budget {
    Budget { listing_index: false, ..listed(operation, dynamodb_calls, sqs_calls, wcu) }
}

#[rustfmt::skip]
pub(crate) const BUDGETS: &[Budget] = &[
    // Issue: "enqueue 1 WCU (2 with the listing index) + 1 SQS call"; design: Put and SendMessage.
    unlisted("enqueue", 1.0, 1.0, 1.0),
    listed("enqueue", 1.0, 1.0, 2.0),
    // Design: SQS delays what waits 900 s or less, so this is an enqueue like any other.
    listed("enqueue_scheduled", 1.0, 1.0, 2.0),
    // Design: "later than 900 s: Put with due key, 2 (+1)", and no message.
    listed("enqueue_due_index", 1.0, 0.0, 3.0),
    // Design: the same two calls, the put first.
    listed("enqueue_client_id", 1.0, 1.0, 2.0),
    // Design: "get: Get (strong), 0".
    listed("get", 1.0, 0.0, 0.0),
    // Issue: "fetch of one 1 WCU + 1".
    listed("fetch_one", 1.0, 1.0, 1.0),
    // Design: "fetch of N: ReceiveMessage per 10, then N conditional Updates, N".
    listed("fetch_ten", 1.0, 0.1, 1.0),
    // Design: one ReceiveMessage finds nothing; queue settings are cached.
    listed("fetch_empty", 0.0, 1.0, 0.0),
    // Fifty messages of jobs that run come back: one alone, for one job is asked for, then ten a receive; their jobs are read
    // ten a call, and the messages hidden ten a call until the leases end. Then the claim. The state of the queue is read once
    // a second. Before: 51 claims, 50 of them
    // refused for a write unit each, and 50 single visibility changes.
    listed("fetch_beside_long_running", 8.0, 12.0, 1.0),
    // Issue: "ack 2 WCU + 1"; design: conditional Update, then DeleteMessage and counter.
    listed("ack", 2.0, 1.0, 2.0),
    listed("ack_with_token", 2.0, 1.0, 2.0),
    // Design: "nack, retry: conditional Update, then requeue, 1"; the requeue is SendMessage, then DeleteMessage. The
    // second DynamoDB call is the strong read that ADR 0002 explains; it takes no write unit.
    listed("nack_retry", 2.0, 2.0, 1.0),
    // Design: "Requeue now: ChangeMessageVisibility 0" after one conditional Update; and the read of ADR 0002. A message
    // of its own instead (SendMessage, then DeleteMessage), because the receipt on the item may be an older receive's, and
    // because a message that is returned again and again would count as poison: ADR 0012.
    listed("nack_requeue", 2.0, 2.0, 1.0),
    // Design: "heartbeat of J jobs: J x {conditional Update, ChangeMessageVisibility} + worker item, J + 1"; the visibility of
    // ten messages is one call.
    listed("heartbeat_one", 2.0, 1.0, 2.0),
    listed("heartbeat_ten", 1.1, 0.1, 1.1),
    listed("heartbeat_ten_total", 11.0, 1.0, 11.0),
    // Neither issue nor design sets these: pinned at what they took when first counted, so that a call gained is seen.
    listed("nack_discard", 3.0, 1.0, 2.0),
    listed("nack_dead_letter", 3.0, 1.0, 4.0),
    listed("cancel_available", 2.0, 0.0, 2.0),
    listed("cancel_active", 2.0, 1.0, 2.0),
    listed("dead_letter_list", 5.0, 0.0, 0.0),
    listed("dead_letter_retry", 2.0, 1.0, 3.0),
    listed("dead_letter_delete", 1.0, 0.0, 4.0),
    listed("activate", 2.0, 1.0, 1.0),
    listed("list_queues", 1.0, 0.0, 0.0),
    // A query per shard and one batch read; a read of the queues' states, for their pauses; and a query per shard of the cron
    // jobs, whose skipped occurrences no job tells.
    listed("events", 10.0, 0.0, 0.0),
    listed("health", 1.0, 1.0, 0.0),
    // Issue: "at most 0.15 SQS calls per job by batching, at most 2 WCU per job": 200 jobs due at once.
    listed("promote", 1.05, 0.15, 2.0),
    // A read, a put that enters the due index, the message of the next occurrence.
    listed("cron_register", 2.0, 1.0, 2.0),
    listed("cron_register_same", 1.0, 0.0, 0.0),
    // What is known of the queue is read anew each second; the receive, reads of the cron job and of the job before, the transaction (2 for the cron job, 2 for its place in the
    // due index, 2 for the job, 1 for its place in the listing), the message of the next occurrence, and the claim.
    listed("cron_fire_by_fetch", 5.0, 2.0, 8.0),
    // The tick's own five calls, the message of the job, the transaction, and the message of the next occurrence.
    listed("cron_fire_by_tick", 6.0, 2.0, 7.0),
    listed("cron_skip", 7.0, 1.0, 3.0),
    // Issue: "an idle month: at most 20 calls a minute in all". A query per shard of the jobs, and one per shard of the batches
    // and workflows, which have partitions of their own.
    listed("tick_scheduler_idle", 11.0, 4.0, 1.0),
    listed("tick_cron_idle", 4.0, 0.0, 0.0),
    // Issue 11: the audit. With the two above 16 of the 20 calls.
    listed("tick_audit_idle", 1.0, 0.0, 0.0),
    // Issue 4: "priority enqueue as plain".
    listed("enqueue_priority", 1.0, 1.0, 2.0),
    // Issue 4: "unique enqueue 4 WCU (5 with the listing index)".
    unlisted("enqueue_unique", 1.0, 1.0, 4.0),
    listed("enqueue_unique", 1.0, 1.0, 5.0),
    // The transaction that is refused, and a read of the job that is there.
    listed("enqueue_duplicate", 2.0, 0.0, 4.0),
    // The same; then lock, job and the cancelled one, in one transaction, and the cancelled one is counted.
    listed("enqueue_replacing", 4.0, 1.0, 12.0),
    // As an ack, and the lock goes.
    listed("ack_unique", 3.0, 1.0, 3.0),
    // Issue 4: "an idle fetch on a queue with k tiers is at most k receives".
    listed("fetch_idle_tiers", 0.0, 3.0, 0.0),
    // Issue 4: "batch of 100 <= 2 WCU (3 with the listing index) and 0.1 SQS calls per job".
    unlisted("enqueue_batch", 0.08, 0.1, 2.0),
    listed("enqueue_batch", 0.08, 0.1, 3.0),
    // The record; the open batch, the job, the commit with the answer; the batch goes.
    listed("enqueue_keyed", 5.0, 1.0, 11.0),
    // The record, which is there.
    listed("enqueue_keyed_again", 1.0, 0.0, 1.0),
    // Workflow, definition and record in one transaction; the job; the workflow is left to itself.
    listed("workflow_create_keyed", 4.0, 1.0, 12.0),
    // Issue 4: "limited fetch <= 2 WCU more": the start is noted, then the claim is computed from a read.
    listed("fetch_limited_rate", 3.0, 1.0, 3.0),
    listed("fetch_limited_concurrency", 3.0, 1.0, 3.0),
    // A message, which is put back, and another look for one whose job may start.
    listed("fetch_limited_refused", 0.0, 3.0, 0.0),
    // As an ack, and the slot is released.
    listed("ack_limited", 3.0, 1.0, 3.0),
    // ADR 0027: job and limit are read, the job is parked (item and index), the note is looked up; then limit and parked jobs
    // are read. A message is received and deleted, and there is one more receive.
    listed("fetch_parked", 7.0, 3.0, 2.0),
    // As an ack of a limited job; then parked jobs are read, and one is reserved (item, and two places in the index) and sent.
    listed("ack_releasing", 6.0, 2.0, 6.0),
    listed("queue_stats", 1.0, 1.0, 0.0),
    listed("pause", 2.0, 0.0, 2.0),
    // Issue 5: "cost per member of chain, group and batch: <= 6 WCU over a plain job's". A plain job is put for 2 and acked for 2.
    // Of 10 KB there are 24 in one workflow, so that what is done once weighs more.
    listed("workflow_create_chain", 0.17, 0.05, 0.7),
    listed("workflow_create_group", 1.17, 0.13, 2.7),
    listed("workflow_create_batch", 1.17, 0.13, 2.7),
    // The ack, the workflow, and the next job; reads of both, and whether it was cancelled meanwhile.
    listed("workflow_chain_step", 7.0, 2.0, 5.0),
    listed("workflow_group_member", 3.0, 1.0, 3.0),
    // The ack, the shard, the workflow, its end, the callback's job, and the marks that let the table forget.
    listed("workflow_batch_last", 14.0, 2.0, 10.0),
    // Issue 11, A.9: a step costs the same in a chain of any length. Before: 9.2, 14.6 and 36.7; with 2 KB 22.4, 153 and 266. A
    // process reads the state of the queue once a second.
    listed("chain_of_5", 11.5, 3.0, 10.2),
    listed("chain_of_50", 11.5, 3.0, 9.1),
    listed("chain_of_200", 11.5, 3.0, 9.0),
    listed("chain_of_5_2kb", 11.5, 3.0, 15.4),
    listed("chain_of_50_2kb", 11.5, 3.0, 15.1),
    listed("chain_of_200_2kb", 11.5, 3.0, 15.0),
    // Issue: "the cycle <= 5 WCU at 200 B with the listing index on"; design: "at most 4 write units, 5 with the
    // listing index". Calls: the sum of the three paths.
    unlisted("cycle", 4.0, 3.0, 4.0),
    listed("cycle", 4.0, 3.0, 5.0),
];

/// One sentence per budget that a row exceeds.
pub(crate) fn excesses(rows: &[Row]) -> Vec<String> {
    rows.iter().flat_map(|row| BUDGETS.iter().flat_map(move |budget| budget.excess(row))).collect()
}

impl Budget {
    fn excess(&self, row: &Row) -> Vec<String> {
        if self.operation != row.operation || self.listing_index != row.listing_index {
            return Vec::new();
        }
        let wcu = if row.args_bytes <= self.args_bytes { self.wcu } else { f64::INFINITY };
        [
            ("DynamoDB calls", row.dynamodb_calls, self.dynamodb_calls),
            ("SQS calls", row.sqs_calls, self.sqs_calls),
            ("WCU", row.wcu, wcu),
        ]
        .into_iter()
        .filter(|(_, found, most)| *found > most + EPSILON)
        .map(|(what, found, most)| {
            let listing = if row.listing_index { "on" } else { "off" };
            format!(
                "{} at {} B, listing index {listing}: {found} {what}, budget {most}; calls: {}",
                row.operation,
                row.args_bytes,
                row.actions.join(", ")
            )
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Operation;

    fn row(args_bytes: usize, wcu: f64) -> Row {
        Row {
            operation: "cycle".to_owned(),
            args_bytes,
            listing_index: true,
            dynamodb_calls: 4.0,
            sqs_calls: 3.0,
            wcu,
            rcu: 0.0,
            dynamodb_bytes: 0.0,
            sqs_bytes: 0.0,
            repetitions: 1,
            actions: Vec::new(),
        }
    }

    #[test]
    fn write_units_count_at_200_bytes_and_calls_always() {
        assert!(excesses(&[row(200, 5.0), row(10_240, 33.0)]).is_empty());
        assert_eq!(excesses(&[row(200, 5.05)]).len(), 1);
        let gained = Row { dynamodb_calls: 4.1, ..row(10_240, 33.0) };
        assert_eq!(excesses(&[gained]).len(), 1);
    }

    #[test]
    fn every_budget_is_measured() {
        for budget in BUDGETS {
            let measured = |operation: &Operation| operation.name() == budget.operation;
            assert!(Operation::ALL.iter().any(measured), "{}", budget.operation);
        }
    }
}
