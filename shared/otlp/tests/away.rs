//! A collector that is away costs one try a minute.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ojs_telemetry::{Config, MetricsTo, Telemetry, TracesTo};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_left_alone() {
    // Takes connections and hangs up.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let traces = TracesTo { endpoint, service: "ojs-test".to_owned(), timeout: Duration::from_millis(300) };
    let config = Config {
        function: "api",
        stack: "t".to_owned(),
        in_lambda: false,
        metrics: MetricsTo::Off,
        traces: Some(traces),
    };
    let telemetry = Telemetry::start_with(Ok(config), Some(ojs_otlp::exporter)).unwrap();
    tracing::info_span!(target: "ojs_test", "request").in_scope(|| {});
    telemetry.flush();
    let first = tries.load(Ordering::Relaxed);
    assert!(first > 0, "it was tried");
    for _ in 0..3 {
        tracing::info_span!(target: "ojs_test", "request").in_scope(|| {});
        telemetry.flush();
    }
    assert_eq!(tries.load(Ordering::Relaxed), first, "and then left alone");
}
