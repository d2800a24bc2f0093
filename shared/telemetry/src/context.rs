//! W3C trace context between HTTP headers, jobs and spans.

use http::HeaderMap;
use ojs_core::observe::trace::TraceContext;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// What a request's headers say.
#[must_use]
pub fn of_headers(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    TraceContext::parse(text("traceparent")?.trim(), text("tracestate"))
}

/// Makes `span` a child of the remote `parent`, if there is one. Answers the context that belongs to the span: its own where there are
/// traces, else the parent's, which is passed on as it is.
#[must_use]
pub fn continued(span: &Span, parent: Option<TraceContext>) -> Option<TraceContext> {
    if let Some(remote) = parent.as_ref().and_then(span_context) {
        // Refused only where there are no traces.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote));
    }
    let own = span.context().span().span_context().clone();
    if !own.is_valid() {
        return parent;
    }
    let text = format!("00-{}-{}-{:02x}", own.trace_id(), own.span_id(), own.trace_flags().to_u8());
    TraceContext::parse(&text, Some(&own.trace_state().header()))
}

/// Links `span` to where these came from (OJS observability section 5.2).
pub fn link(span: &Span, met: &[TraceContext]) {
    for context in met.iter().filter_map(span_context) {
        span.add_link(context);
    }
}

fn span_context(context: &TraceContext) -> Option<SpanContext> {
    let mut parts = context.parent.split('-').skip(1);
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    Some(SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        context.state.as_deref().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default(),
    ))
}
