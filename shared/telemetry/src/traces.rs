//! Traces: spans of requests, ticks and AWS calls, sent to a collector. Their exporter is the crate `ojs-otlp`.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TracesTo;

/// Makes the provider that sends spans to a collector, or says why it cannot: `ojs_otlp::exporter`.
pub type Exporter = fn(&TracesTo) -> Result<SdkTracerProvider, String>;

/// What a program without an exporter answers to settings that ask for traces.
const NO_EXPORTER: &str = "this program is built without the exporter; the local stack has it with `make run OTLP=1`";

/// How long an unreachable collector is left alone by [`Traces::flush`].
const PAUSE: Duration = Duration::from_secs(60);

/// The provider, and when it may be flushed again.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    paused_until: Mutex<Option<Instant>>,
}

/// Starts to send spans to the collector that the environment names.
pub(crate) fn start(to: &TracesTo, exporter: Option<Exporter>) -> Result<Traces, String> {
    let exporter = exporter.ok_or_else(|| NO_EXPORTER.to_owned())?;
    exporter(to).map(Traces::new)
}

impl Traces {
    /// With the spans' destination.
    #[must_use]
    pub fn new(provider: SdkTracerProvider) -> Self {
        Self { provider, paused_until: Mutex::new(None) }
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
