//! Traces: spans of requests, ticks and AWS calls, sent to a collector by OTLP over gRPC.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TracesTo;

/// How long an unreachable collector is left alone by [`Traces::flush`].
const PAUSE: Duration = Duration::from_secs(60);

/// The provider, and when it may be flushed again.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    paused_until: Mutex<Option<Instant>>,
}

impl Traces {
    /// Connects lazily: a collector that is away is no error. Needs a multi-threaded tokio runtime around it.
    ///
    /// # Errors
    /// Why the exporter cannot be made.
    pub fn start(to: &TracesTo) -> Result<Self, String> {
        let mut exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(to.endpoint.clone())
            .with_timeout(to.timeout)
            // A sandbox would be kept awake, and billed, while it waits between tries.
            .with_retry_policy(RetryPolicy::default().with_max_retries(0));
        if to.endpoint.starts_with("https:") {
            // By itself the exporter trusts no authority at all.
            exporter = exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
        }
        let exporter = exporter.build().map_err(|error| error.to_string())?;
        let resource = Resource::builder()
            .with_service_name(to.service.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        Ok(Self { provider, paused_until: Mutex::new(None) })
    }

    /// The layer that makes OpenTelemetry's spans of tracing's.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("ojs-serverless"))
            .with_location(false)
            .with_threads(false)
            .with_filter(filter_fn(is_traced))
    }

    /// Sends the spans that have ended. When the collector does not answer in time, it is left alone for a minute; the spans of
    /// that time are dropped when their buffer is full.
    pub fn flush(&self) {
        let mut paused = self.paused_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if paused.is_some_and(|until| Instant::now() < until) {
            return;
        }
        *paused = self.provider.force_flush().err().map(|error| {
            tracing::warn!(%error, "traces not sent; the collector is left alone for a minute");
            Instant::now() + PAUSE
        });
    }

    /// Sends the spans that have ended, and ends: 5 s at most.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last traces are not sent");
        }
    }
}

/// Our own spans and what happens in them, the runtime's invocations, and the SDK's calls. Nothing of these holds a payload.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let ours = target.starts_with("ojs_") || target.starts_with("lambda_");
    let call = metadata.is_span() && target.starts_with("aws_sdk_") && target.contains("::operation::");
    (ours && *metadata.level() <= Level::INFO) || (call && *metadata.level() <= Level::DEBUG)
}
