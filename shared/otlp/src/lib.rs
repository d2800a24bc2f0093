//! The exporter of traces: OTLP over gRPC (ADR 0023).
//!
//! Only the functions and servers link it. A cold `make run` need not compile exporter, gRPC and protocol buffers: few local
//! stacks have a collector (ADR 0009).

use ojs_telemetry::TracesTo;
use opentelemetry::KeyValue;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

/// An [`Exporter`](ojs_telemetry::Exporter). Connects lazily: a collector that is away is no error. Needs a multi-threaded tokio
/// runtime around it.
///
/// # Errors
/// Why the exporter cannot be made.
pub fn exporter(to: &TracesTo) -> Result<SdkTracerProvider, String> {
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
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
