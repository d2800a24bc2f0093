use axum::Router;
use axum::routing::{delete, get, post};

use crate::layers;
use crate::resources::{
    batch, bulk, cron, dead_letter, events, health, jobs, limits, manifest, metrics, queues, workflows,
};
use crate::state::Api;
use crate::workers::{ack, fetch, heartbeat, nack};

/// All routes, behind what holds for every request. `more` is served beside them, under the same rules.
pub fn router(api: Api, more: Router<Api>) -> Router {
    let routes = Router::new()
        .route("/ojs/manifest", get(manifest::show))
        .route("/ojs/v1/health", get(health::show))
        .route("/ojs/v1/jobs", post(jobs::create))
        .route("/ojs/v1/jobs/batch", post(batch::create))
        .route("/ojs/v1/jobs/bulk", post(bulk::enqueue))
        .route("/ojs/v1/jobs/bulk/cancel", post(bulk::cancel))
        .route("/ojs/v1/jobs/bulk/retry", post(bulk::retry))
        .route("/ojs/v1/jobs/bulk/delete", post(bulk::delete))
        .route("/ojs/v1/jobs/{id}", get(jobs::show).delete(jobs::cancel))
        .route("/ojs/v1/jobs/{id}/activate", post(jobs::activate))
        .route("/ojs/v1/workers/fetch", post(fetch::fetch))
        .route("/ojs/v1/workers/ack", post(ack::ack))
        .route("/ojs/v1/workers/nack", post(nack::nack))
        .route("/ojs/v1/workers/heartbeat", post(heartbeat::beat))
        .route("/ojs/v1/dead-letter", get(dead_letter::list))
        .route("/ojs/v1/dead-letter/{id}", delete(dead_letter::delete))
        .route("/ojs/v1/dead-letter/{id}/retry", post(dead_letter::retry))
        .route("/ojs/v1/cron", get(cron::list).post(cron::register))
        .route("/ojs/v1/cron/{id}", get(cron::show).patch(cron::toggle).delete(cron::delete))
        .route("/ojs/v1/queues", get(queues::list))
        .route("/ojs/v1/queues/{id}/pause", post(queues::pause))
        .route("/ojs/v1/queues/{id}/resume", post(queues::resume))
        .route("/ojs/v1/queues/{id}/stats", get(queues::stats))
        .route("/ojs/v1/queues/{id}", get(queues::show))
        .route("/ojs/v1/queues/{id}/config", get(queues::show).put(queues::configure))
        .route("/ojs/v1/rate-limits", get(limits::list))
        .route("/ojs/v1/rate-limits/{id}", get(limits::show).put(limits::put).delete(limits::delete))
        .route("/ojs/v1/workflows", get(workflows::list).post(workflows::create))
        .route("/ojs/v1/workflows/{id}", get(workflows::show).delete(workflows::cancel))
        .route("/ojs/v1/events", get(events::list))
        .route("/metrics", get(metrics::show));
    layers::around(routes.merge(more), api)
}
