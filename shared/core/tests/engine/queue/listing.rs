//! The listing index is sorted by the server's time, whatever ids clients choose.
#![allow(clippy::unwrap_used, missing_docs)]

use ojs_core::engine::EventQuery;
use ojs_model::JobId;
use ojs_model::job::MAX_ID_AHEAD_MS;
use ojs_testkit::{TestStack, fields};
use serde_json::json;

#[tokio::test]
async fn ids_ahead_of_the_clock_do_not_hide_newer_jobs() {
    let stack = TestStack::start().await;
    let ahead = JobId::derived(stack.engine.now_ms() + MAX_ID_AHEAD_MS, &[0xff; 10]);
    let request = json!({"type": "test", "args": [], "id": ahead.as_str()});
    assert_eq!(stack.engine.enqueue(fields(&request)).await.unwrap().job.id, ahead);
    let mut newer = Vec::new();
    for _ in 0..5 {
        stack.clock.advance_ms(1);
        newer.push(stack.enqueue(json!({})).await.id);
    }
    newer.reverse();
    let newest = |limit| stack.engine.store().newest_jobs("default", limit);
    assert_eq!(newest(2).await.unwrap(), newer[..2]);
    assert_eq!(newest(10).await.unwrap(), [newer, vec![ahead.clone()]].concat());
    let told = stack.engine.events(EventQuery { limit: 1, ..EventQuery::default() }).await.unwrap();
    assert_ne!(told.events[0].subject, ahead.as_str());
    stack.stop().await;
}
