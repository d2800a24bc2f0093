//! W3C trace context, carried in a job's `meta` from enqueue to fetch to ack (OJS observability section 5).
//!
//! A handler runs its request in a [`Scope`]. Jobs that are made there get the scope's context; jobs that are read there
//! leave theirs, so that the request's span can be linked to them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;

use ojs_model::job::Job;
use ojs_model::json::{Fields, Json, raw};

/// Target of spans that are for traces and not for logs (OJS observability section 6.3).
pub const SPANS: &str = "ojs_spans";
/// Most jobs that one request's span is linked to: what OpenTelemetry keeps by default.
const MAX_LINKS: usize = 128;

tokio::task_local! {
    static SCOPE: RefCell<Scope>;
}

/// A position in a trace, as in W3C's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`.
    pub parent: String,
    /// `tracestate`.
    pub state: Option<String>,
}

impl TraceContext {
    /// From headers or meta; `None` when `parent` is no `traceparent` of version 00, or names no trace.
    #[must_use]
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let parts: Vec<&str> = parent.split('-').collect();
        let [version, trace, span, flags] = parts.as_slice() else { return None };
        let sound = *version == "00"
            && (trace.len(), span.len(), flags.len()) == (32, 16, 2)
            && hex(trace)
            && hex(span)
            && hex(flags)
            && trace.bytes().any(|b| b != b'0')
            && span.bytes().any(|b| b != b'0');
        // W3C has implementations keep 512 characters at least; more is not worth a job's room.
        let state = state.filter(|state| !state.is_empty() && state.len() <= 512 && state.is_ascii());
        sound.then(|| Self { parent: parent.to_owned(), state: state.map(str::to_owned) })
    }

    /// The trace's id, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.parent.get(3..35).unwrap_or_default()
    }

    /// What a job's `meta` says.
    #[must_use]
    pub fn of(job: &Job) -> Option<Self> {
        let mut meta = Fields::from_member("meta", job.meta.as_ref()?).ok()?;
        let parent = meta.take_string("traceparent").ok()??;
        Self::parse(&parent, meta.take_string("tracestate").ok().flatten().as_deref())
    }

    /// Puts it into `meta`, unless there is one.
    fn put_into(&self, meta: &mut Option<Json>) {
        edit_meta(meta, |members| {
            if members.contains_key("traceparent") {
                return;
            }
            members.extend(text(&self.parent).map(|parent| ("traceparent".to_owned(), parent)));
            members.extend(self.state.as_deref().and_then(text).map(|state| ("tracestate".to_owned(), state)));
        });
    }
}

/// Changes a job's `meta`; what cannot be read or written stays as it is.
fn edit_meta(meta: &mut Option<Json>, edit: impl FnOnce(&mut BTreeMap<String, Json>)) {
    let members = meta.as_ref().map(|meta| Fields::from_member("meta", meta).map(Fields::rest));
    let Ok(mut members) = members.transpose().map(Option::unwrap_or_default) else { return };
    let before = members.len();
    edit(&mut members);
    // Untouched, it keeps its client's spelling.
    if members.len() != before
        && let Ok(text) = serde_json::to_string(&members)
        && let Ok(with) = raw(text)
    {
        *meta = Some(with);
    }
}

fn text(text: &str) -> Option<Json> {
    raw(serde_json::Value::from(text).to_string()).ok()
}

/// What a request brings to the jobs that it makes, and takes from those that it reads.
#[derive(Debug, Default)]
pub struct Scope {
    context: Option<TraceContext>,
    /// `None` where spans are not linked.
    met: Option<Vec<TraceContext>>,
}

/// Runs `request`; jobs that it makes get `context`. Answers the contexts of the jobs that it met, too, if `links` are wanted: 128 at
/// most.
pub async fn scoped<T>(
    context: Option<TraceContext>,
    links: bool,
    request: impl Future<Output = T>,
) -> (T, Vec<TraceContext>) {
    let scope = RefCell::new(Scope { context, met: links.then(Vec::new) });
    SCOPE
        .scope(scope, async {
            let answer = request.await;
            (answer, SCOPE.with(|scope| scope.borrow_mut().met.take().unwrap_or_default()))
        })
        .await
}

/// `traceparent` of the request at work, where there is one.
pub(crate) fn current() -> Option<String> {
    SCOPE.try_with(|scope| scope.borrow().context.as_ref().map(|context| context.parent.clone())).ok().flatten()
}

/// A step of a workflow is made: beside the context of the step before, it gets that of the workflow's making (section 5.3).
pub(crate) fn mark_origin(job: &mut Job, origin: &str) {
    edit_meta(&mut job.meta, |members| {
        if let Some(origin) = text(origin) {
            members.entry("ojs.workflow.trace_origin".to_owned()).or_insert(origin);
        }
    });
}

/// A job is made: it gets the scope's context, unless its client gave it one.
pub(crate) fn mark(job: &mut Job) {
    // Outside a request there is none.
    let _ = SCOPE.try_with(|scope| {
        if let Some(context) = &scope.borrow().context {
            context.put_into(&mut job.meta);
        }
    });
}

/// A job is met: its context is kept for the request's span.
pub(crate) fn meet(job: &Job) {
    let _ = SCOPE.try_with(|scope| {
        let Scope { context: own, met } = &mut *scope.borrow_mut();
        if let Some(met) = met.as_mut().filter(|met| met.len() < MAX_LINKS)
            && let Some(context) = TraceContext::of(job)
            && own.as_ref() != Some(&context)
            && !met.contains(&context)
        {
            met.push(context);
        }
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_w3c_contexts_are_taken() {
        let good = TraceContext::parse(PARENT, Some("a=b")).unwrap();
        assert_eq!((good.trace_id(), good.state.as_deref()), ("4bf92f3577b34da6a3ce929d0e0e4736", Some("a=b")));
        assert_eq!(TraceContext::parse(PARENT, Some("ä")).unwrap().state, None);
        for bad in [
            "",
            "x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn meta_keeps_what_it_has() {
        let context = TraceContext::parse(PARENT, Some("a=b")).unwrap();
        let put = |meta: Option<&str>| {
            let mut meta = meta.map(|text| raw(text.to_owned()).unwrap());
            context.put_into(&mut meta);
            meta.unwrap().get().to_owned()
        };
        let both = format!(r#""traceparent":"{PARENT}","tracestate":"a=b""#);
        assert_eq!(put(None), format!("{{{both}}}"));
        assert_eq!(put(Some(r#"{"a": 1.50}"#)), format!(r#"{{"a":1.50,{both}}}"#));
        assert_eq!(put(Some(r#"{"traceparent": "mine"}"#)), r#"{"traceparent": "mine"}"#);
    }
}
