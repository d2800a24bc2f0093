//! `GET /metrics`: numbers in Prometheus's text format, where the process is a server.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures::stream::{self, StreamExt};
use metrics::gauge;
use ojs_core::Engine;
use ojs_core::observe::metrics::QUEUE_DEPTH;
use ojs_model::Error;
use ojs_model::queue::QueueStats;

use crate::problem::Problem;
use crate::reply::PROMETHEUS;
use crate::state::Api;

/// Shortest time between two readings of the depths. A reading costs what queue stats cost: one call per queue and one per
/// priority in use, or a count where `OJS_STATS_MAX_JOBS` is set.
const DEPTH_EVERY: Duration = Duration::from_secs(30);
/// Queues whose depth is published: the first ones by name.
const MAX_QUEUES: usize = 100;
/// Queues asked at a time.
const CONCURRENCY: usize = 8;

static DEPTH_AT: Mutex<Option<Instant>> = Mutex::new(None);

pub(crate) async fn show(State(api): State<Api>) -> Result<Response, Problem> {
    if !api.telemetry.is_asked() {
        return Err(Problem(Error::not_found("route", "GET /metrics").with("hint", "OJS_METRICS=prometheus")));
    }
    if depths_are_stale() {
        // Old numbers are better than none.
        if let Err(error) = publish_depths(&api.engine).await {
            tracing::warn!(%error, "queue depths not reported");
        }
    }
    let mut response = Response::new(Body::from(api.telemetry.render().unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROMETHEUS));
    Ok(response)
}

fn depths_are_stale() -> bool {
    let mut at = DEPTH_AT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let old = at.is_none_or(|at| at.elapsed() >= DEPTH_EVERY);
    if old {
        *at = Some(Instant::now());
    }
    old
}

async fn publish_depths(engine: &Engine) -> Result<(), Error> {
    let queues = engine.list_queues(None, MAX_QUEUES).await?.queues;
    let each: Vec<_> =
        queues.into_iter().map(|queue| async move { (engine.queue_stats(&queue.name).await, queue.name) }).collect();
    let mut asked = stream::iter(each).buffer_unordered(CONCURRENCY);
    while let Some((stats, queue)) = asked.next().await {
        match stats {
            Ok(stats) => publish(&queue, &stats),
            Err(error) => tracing::warn!(queue, %error, "queue depth not reported"),
        }
    }
    Ok(())
}

fn publish(queue: &str, stats: &QueueStats) {
    let live = &stats.live;
    for (state, count) in [
        ("available", Some(live.available)),
        ("active", Some(live.active)),
        ("scheduled", Some(live.scheduled)),
        ("retryable", live.retryable),
        ("pending", live.pending),
    ] {
        if let Some(count) = count {
            // Exact up to 2^53.
            #[allow(clippy::cast_precision_loss)]
            gauge!(QUEUE_DEPTH, "queue" => queue.to_owned(), "state" => state).set(count as f64);
        }
    }
}
