//! The table of routes: a route's path, its method, what roles it asks for and its handler stand in one line.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::auth::Operation;
use crate::auth::permissions::Permissions;
use crate::layers;
use crate::resources::{
    batch, bulk, cron, dead_letter, events, health, jobs, limits, manifest, metrics, queues, workflows,
};
use crate::state::Api;
use crate::workers::{ack, fetch, heartbeat, nack};

const GET: (Method, MethodFilter) = (Method::GET, MethodFilter::GET);
const POST: (Method, MethodFilter) = (Method::POST, MethodFilter::POST);
const PUT: (Method, MethodFilter) = (Method::PUT, MethodFilter::PUT);
const PATCH: (Method, MethodFilter) = (Method::PATCH, MethodFilter::PATCH);
const DELETE: (Method, MethodFilter) = (Method::DELETE, MethodFilter::DELETE);

/// A line of the table.
#[derive(Debug)]
pub struct Route {
    /// Its method; a `GET` answers `HEAD`, too.
    pub method: Method,
    /// Its path, with `{id}` in place of a segment.
    pub path: &'static str,
    /// What it does; [`Operation::roles`] says who may.
    pub operation: Operation,
    handler: MethodRouter<Api>,
}

/// Every route. Literal paths stand before those with `{id}`.
#[must_use]
pub fn routes() -> Vec<Route> {
    use Operation::{Admin, Any, Cancel, Dequeue, Enqueue, Inspect};
    vec![
        route(GET, "/ojs/manifest", Any, manifest::show),
        route(GET, "/ojs/v1/health", Any, health::show),
        route(GET, "/metrics", Inspect, metrics::show),
        route(POST, "/ojs/v1/jobs", Enqueue, jobs::create),
        route(POST, "/ojs/v1/jobs/batch", Enqueue, batch::create),
        route(POST, "/ojs/v1/jobs/bulk", Enqueue, bulk::enqueue),
        route(POST, "/ojs/v1/jobs/bulk/cancel", Admin, bulk::cancel),
        route(POST, "/ojs/v1/jobs/bulk/retry", Admin, bulk::retry),
        route(POST, "/ojs/v1/jobs/bulk/delete", Admin, bulk::delete),
        route(GET, "/ojs/v1/jobs/{id}", Inspect, jobs::show),
        route(DELETE, "/ojs/v1/jobs/{id}", Cancel, jobs::cancel),
        route(POST, "/ojs/v1/jobs/{id}/activate", Enqueue, jobs::activate),
        route(POST, "/ojs/v1/workers/fetch", Dequeue, fetch::fetch),
        route(POST, "/ojs/v1/workers/ack", Dequeue, ack::ack),
        route(POST, "/ojs/v1/workers/nack", Dequeue, nack::nack),
        route(POST, "/ojs/v1/workers/heartbeat", Dequeue, heartbeat::beat),
        route(GET, "/ojs/v1/dead-letter", Inspect, dead_letter::list),
        route(DELETE, "/ojs/v1/dead-letter/{id}", Admin, dead_letter::delete),
        route(POST, "/ojs/v1/dead-letter/{id}/retry", Admin, dead_letter::retry),
        route(GET, "/ojs/v1/cron", Inspect, cron::list),
        route(POST, "/ojs/v1/cron", Admin, cron::register),
        route(GET, "/ojs/v1/cron/{id}", Inspect, cron::show),
        route(PATCH, "/ojs/v1/cron/{id}", Admin, cron::toggle),
        route(DELETE, "/ojs/v1/cron/{id}", Admin, cron::delete),
        route(GET, "/ojs/v1/queues", Inspect, queues::list),
        route(GET, "/ojs/v1/queues/{id}", Inspect, queues::show),
        route(GET, "/ojs/v1/queues/{id}/stats", Inspect, queues::stats),
        route(GET, "/ojs/v1/queues/{id}/config", Inspect, queues::show),
        route(PUT, "/ojs/v1/queues/{id}/config", Admin, queues::configure),
        route(POST, "/ojs/v1/queues/{id}/pause", Admin, queues::pause),
        route(POST, "/ojs/v1/queues/{id}/resume", Admin, queues::resume),
        route(GET, "/ojs/v1/rate-limits", Inspect, limits::list),
        route(GET, "/ojs/v1/rate-limits/{id}", Inspect, limits::show),
        route(PUT, "/ojs/v1/rate-limits/{id}", Admin, limits::put),
        route(DELETE, "/ojs/v1/rate-limits/{id}", Admin, limits::delete),
        route(GET, "/ojs/v1/workflows", Inspect, workflows::list),
        route(POST, "/ojs/v1/workflows", Enqueue, workflows::create),
        route(GET, "/ojs/v1/workflows/{id}", Inspect, workflows::show),
        route(DELETE, "/ojs/v1/workflows/{id}", Cancel, workflows::cancel),
        route(GET, "/ojs/v1/events", Inspect, events::list),
    ]
}

fn route<H, T>((method, filter): (Method, MethodFilter), path: &'static str, operation: Operation, handler: H) -> Route
where
    H: Handler<T, Api>,
    T: 'static,
{
    Route { method, path, operation, handler: on(filter, handler) }
}

/// All routes, behind what holds for every request. `more` is served beside them, under the same rules.
pub fn router(api: Api, more: Router<Api>) -> Router {
    let routes = routes();
    let permissions = permissions(&routes);
    let table = routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler));
    layers::around(table.merge(more), permissions, api)
}

fn permissions(routes: &[Route]) -> Permissions {
    Permissions::new(routes.iter().map(|route| (route.method.clone(), route.path, route.operation)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_the_operation_of_its_line() {
        let routes = routes();
        let permissions = permissions(&routes);
        for Route { method, path, operation, .. } in &routes {
            assert_eq!(permissions.operation(method, Some(path)), *operation, "{method} {path}");
        }
    }
}
