//! `GET /ojs/manifest` (HTTP binding section 21): what this server can do, and no more than it can.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::reply;
use crate::state::Api;

/// The highest level whose suites pass in full but for L1-RTR-014, which asserts what its own steps never send.
const CONFORMANCE_LEVEL: u8 = 4;

pub(crate) async fn show(State(api): State<Api>) -> Response {
    let events = api.engine.store().has_listing();
    reply::ok(&json!({
        "specversion": "1.0",
        "ojs_version": "1.0",
        "implementation": {
            "name": "ojs-serverless",
            "version": env!("CARGO_PKG_VERSION"),
            "language": "rust",
            "repository": env!("CARGO_PKG_REPOSITORY"),
        },
        "conformance_level": CONFORMANCE_LEVEL,
        "conformance_tier": "runtime",
        "protocols": ["http"],
        "backend": "dynamodb+sqs",
        "capabilities": {
            "batch_enqueue": true,
            "cron_jobs": true,
            "dead_letter": true,
            "delayed_jobs": true,
            "events": events,
            "job_ttl": true,
            "pause_resume": true,
            "priority_queues": true,
            "rate_limiting": true,
            "schema_validation": false,
            "unique_jobs": true,
            "workflows": true,
        },
        "extensions": {"official": [], "experimental": ["lease-token"]},
        "test_suite_version": "1.0",
        "limits": {
            "max_envelope_bytes": ojs_model::job::MAX_ENVELOPE_BYTES,
            "max_meta_bytes": ojs_model::job::MAX_META_BYTES,
            "max_request_bytes": api.max_body_bytes,
            "max_batch_jobs": ojs_model::batch::MAX_BATCH_JOBS,
            "max_fetch_count": ojs_core::engine::MAX_FETCH,
            "max_heartbeat_jobs": ojs_core::engine::MAX_HEARTBEAT_JOBS,
            "max_history": ojs_model::job::MAX_HISTORY,
        },
        "endpoints": {"base_url": "/ojs/v1", "manifest": "/ojs/manifest", "health": "/ojs/v1/health"},
    }))
}
