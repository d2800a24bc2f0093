//! Logs: one JSON object a line in Lambda and containers, text on a terminal. Level by `RUST_LOG`, default `info`.

use std::io::IsTerminal;

use ojs_core::observe::trace::SPANS;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

/// The layer that writes to standard error.
pub(crate) fn layer<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Spans that are for traces alone: in logs, the request's span is the one that a line belongs to.
    let filter = level.and(filter_fn(|metadata| !tells_payloads(metadata) && metadata.target() != SPANS));
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        logs.with_filter(filter).boxed()
    } else {
        logs.json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(filter).boxed()
    }
}

/// At this level libraries print requests and answers whole, and with them args, results and lease tokens: never logged, whatever
/// `RUST_LOG` says.
fn tells_payloads(metadata: &Metadata<'_>) -> bool {
    *metadata.level() == Level::TRACE && !metadata.target().starts_with("ojs_")
}
