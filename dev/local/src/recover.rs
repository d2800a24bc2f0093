use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use ojs_core::job::{Job, settle};
use ojs_core::store::keys;
use ojs_core::transport::{JobRef, MAX_DELAY_S};
use ojs_core::{Engine, Error, ErrorCode};

/// Sends a message for every job in a database file that waits or runs: the emulated queues begin empty.
///
/// # Errors
/// The AWS error of a call to an emulator.
pub(crate) async fn send_again(engine: &Engine, dynamodb: &Client) -> Result<usize, Error> {
    let (mut sent, mut start) = (0, None);
    loop {
        // A scan, which only a development database may see.
        let page = dynamodb
            .scan()
            .table_name(&engine.settings().table)
            .filter_expression("begins_with(pk, :job) AND NOT #s IN (:completed, :cancelled, :discarded, :pending)")
            .projection_expression("pk")
            .expression_attribute_names("#s", "s")
            .expression_attribute_values(":job", AttributeValue::S(keys::JOB_PREFIX.to_owned()))
            .expression_attribute_values(":completed", AttributeValue::S("completed".to_owned()))
            .expression_attribute_values(":cancelled", AttributeValue::S("cancelled".to_owned()))
            .expression_attribute_values(":discarded", AttributeValue::S("discarded".to_owned()))
            .expression_attribute_values(":pending", AttributeValue::S("pending".to_owned()))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|e| Error::new(ErrorCode::BackendError, format!("the database cannot be scanned: {e}")))?;
        let ids: Vec<_> = page.items.unwrap_or_default().iter().filter_map(id_of).collect();
        for job in engine.store().get_jobs(&ids).await? {
            // What is in the due index comes back by the tick.
            if !job.in_due_index {
                engine.send(&JobRef::to(&job), delay_s(&job, engine.now_ms())).await?;
                sent += 1;
            }
        }
        start = page.last_evaluated_key;
        if start.is_none() {
            return Ok(sent);
        }
    }
}

fn id_of(item: &HashMap<String, AttributeValue>) -> Option<ojs_core::JobId> {
    keys::job_of_pk(item.get("pk")?.as_s().ok()?)
}

fn delay_s(job: &Job, now_ms: i64) -> i64 {
    let wakes_at = settle(job, now_ms).wakes_at_ms().unwrap_or(now_ms);
    ((wakes_at - now_ms) / 1_000).clamp(0, MAX_DELAY_S)
}
