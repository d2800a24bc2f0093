//! CloudWatch's embedded metric format: a JSON line on standard output, which CloudWatch Logs turns into metrics.
//!
//! Each metric is billed by the month, for each set of dimensions. So there is one dimension, `Stack`, and no queue or job type;
//! `Function` is a mere property of the line.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use ojs_core::observe::metrics as names;
use serde_json::{Map, Value, json};

/// The metrics' namespace in CloudWatch.
pub const NAMESPACE: &str = "OJS";
/// Most values of one metric in a line.
const MAX_VALUES: usize = 100;
/// Most values kept between two lines; those of one invocation, where a fetch starts a hundred jobs.
const MAX_KEPT: usize = 10_000;

/// What goes to CloudWatch: our name, its name and unit there, and what to multiply with.
const METRICS: [(&str, &str, &str, f64); 13] = [
    (names::JOB_ENQUEUED, "JobsEnqueued", "Count", 1.0),
    (names::JOB_STARTED, "JobsStarted", "Count", 1.0),
    (names::JOB_COMPLETED, "JobsCompleted", "Count", 1.0),
    (names::JOB_RETRIED, "JobsRetried", "Count", 1.0),
    (names::JOB_FAILED, "JobsDiscarded", "Count", 1.0),
    (names::JOB_CANCELLED, "JobsCancelled", "Count", 1.0),
    (names::JOB_START_LATENCY, "StartLatency", "Milliseconds", 1_000.0),
    (names::HTTP_DURATION, "RequestLatency", "Milliseconds", 1_000.0),
    (names::AUDIT_RESENT, "AuditResent", "Count", 1.0),
    (names::AWS_CALLS, "AwsCalls", "Count", 1.0),
    (names::AWS_WRITE_UNITS, "WriteUnits", "Count", 0.001),
    (names::AWS_READ_UNITS, "ReadUnits", "Count", 0.001),
    (names::AWS_COST, "CostMicroUsd", "Count", 0.001),
];
/// Of the AWS calls by outcome, beside all of them.
const OUTCOMES: [(&str, &str); 2] = [("throttled", "AwsThrottles"), ("error", "AwsErrors")];

/// A recorder that writes lines.
#[derive(Debug)]
pub struct Emf {
    stack: String,
    function: String,
    counters: Mutex<BTreeMap<&'static str, Arc<AtomicU64>>>,
    histograms: Mutex<BTreeMap<&'static str, Arc<Values>>>,
}

/// A metric's values since the last line.
#[derive(Debug, Default)]
struct Values(Mutex<Vec<f64>>);

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if values.len() < MAX_KEPT {
            values.push(value);
        }
    }
}

/// Counters that count the same.
#[derive(Debug)]
struct Both(Arc<AtomicU64>, Arc<AtomicU64>);

impl CounterFn for Both {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
        self.1.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
        self.1.store(value, Ordering::Relaxed);
    }
}

impl Emf {
    /// For the `function` of the system whose table is `stack`.
    #[must_use]
    pub fn new(stack: &str, function: &str) -> Self {
        Self {
            stack: stack.to_owned(),
            function: function.to_owned(),
            counters: Mutex::default(),
            histograms: Mutex::default(),
        }
    }

    fn counter(&self, name: &'static str) -> Arc<AtomicU64> {
        Arc::clone(self.counters.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default())
    }

    /// Writes what has gathered since the last call: nothing, a line, or several, at `now_ms` (ms since the Unix epoch).
    ///
    /// # Errors
    /// Those of `out`; what was to be written is lost.
    pub fn flush(&self, out: &mut impl Write, now_ms: u64) -> io::Result<()> {
        let mut lines = vec![Map::new()];
        for (name, counter) in self.counters.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let count = counter.swap(0, Ordering::Relaxed);
            let (_, _, scale) = described(name);
            if count > 0 {
                // Exact up to 2^53.
                #[allow(clippy::cast_precision_loss)]
                let value = if (scale - 1.0).abs() < f64::EPSILON { json!(count) } else { json!(count as f64 * scale) };
                lines[0].insert(described(name).0.to_owned(), value);
            }
        }
        for (name, values) in self.histograms.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let values = std::mem::take(&mut *values.0.lock().unwrap_or_else(PoisonError::into_inner));
            let (shown, _, scale) = described(name);
            for (at, part) in values.chunks(MAX_VALUES).enumerate() {
                if lines.len() <= at {
                    lines.push(Map::new());
                }
                // To the microsecond.
                let scaled: Vec<f64> = part.iter().map(|value| (value * scale * 1_000.0).round() / 1_000.0).collect();
                let value = if let [one] = scaled[..] { json!(one) } else { json!(scaled) };
                lines[at].insert(shown.to_owned(), value);
            }
        }
        for line in lines.into_iter().filter(|line| !line.is_empty()) {
            writeln!(out, "{}", self.line(line, now_ms))?;
        }
        out.flush()
    }

    fn line(&self, mut values: Map<String, Value>, now_ms: u64) -> Value {
        let metrics: Vec<Value> = values.keys().map(|name| json!({"Name": name, "Unit": described(name).1})).collect();
        values.insert("Stack".to_owned(), json!(self.stack));
        values.insert("Function".to_owned(), json!(self.function));
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [["Stack"]], "Metrics": metrics});
        values.insert("_aws".to_owned(), json!({"Timestamp": now_ms, "CloudWatchMetrics": [directive]}));
        Value::Object(values)
    }
}

/// A metric's name and unit in CloudWatch, and what to multiply with; by either name.
fn described(name: &str) -> (&'static str, &'static str, f64) {
    let of_outcome = OUTCOMES.iter().find(|(_, shown)| *shown == name).map(|(_, shown)| (*shown, "Count", 1.0));
    let metric = METRICS.iter().find(|(ours, shown, ..)| *ours == name || *shown == name);
    of_outcome.or_else(|| metric.map(|(_, shown, unit, scale)| (*shown, *unit, *scale))).unwrap_or(("", "Count", 1.0))
}

impl Recorder for Emf {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let Some((name, ..)) = METRICS.iter().find(|(name, ..)| *name == key.name()) else { return Counter::noop() };
        let counter = self.counter(name);
        let outcome = key.labels().find(|label| label.key() == "outcome").map(metrics::Label::value);
        match OUTCOMES.iter().find(|(of, _)| Some(*of) == outcome) {
            Some((_, shown)) => Counter::from_arc(Arc::new(Both(counter, self.counter(shown)))),
            None => Counter::from_arc(counter),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let Some((name, ..)) = METRICS.iter().find(|(name, ..)| *name == key.name()) else { return Histogram::noop() };
        let mut histograms = self.histograms.lock().unwrap_or_else(PoisonError::into_inner);
        Histogram::from_arc(Arc::clone(histograms.entry(name).or_default()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use metrics::{counter, histogram};

    fn lines(emf: &Emf) -> Vec<Value> {
        let mut out = Vec::new();
        emf.flush(&mut out, 1_795_510_800_000).unwrap();
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_what_has_gathered_since_the_last() {
        let emf = Emf::new("ojs-jobs", "api");
        metrics::with_local_recorder(&emf, || {
            counter!(names::JOB_ENQUEUED, "queue" => "a", "type" => "x").increment(2);
            counter!(names::JOB_ENQUEUED, "queue" => "b", "type" => "y").increment(1);
            counter!(names::AWS_CALLS, "outcome" => "ok").increment(3);
            counter!(names::AWS_CALLS, "outcome" => "throttled").increment(1);
            counter!(names::AWS_WRITE_UNITS).increment(1_500);
            counter!(names::AWS_COST).increment(625);
            counter!("of.another").increment(1);
            histogram!(names::HTTP_DURATION, "route" => "/x").record(0.012_345_6);
        });
        let line = lines(&emf).remove(0);
        assert_eq!(
            line,
            json!({
                "JobsEnqueued": 3, "AwsCalls": 4, "AwsThrottles": 1, "WriteUnits": 1.5, "CostMicroUsd": 0.625,
                "RequestLatency": 12.346, "Stack": "ojs-jobs", "Function": "api",
                "_aws": {"Timestamp": 1_795_510_800_000_u64, "CloudWatchMetrics": [{
                    "Namespace": "OJS", "Dimensions": [["Stack"]], "Metrics": [
                        {"Name": "AwsCalls", "Unit": "Count"}, {"Name": "AwsThrottles", "Unit": "Count"},
                        {"Name": "CostMicroUsd", "Unit": "Count"}, {"Name": "JobsEnqueued", "Unit": "Count"},
                        {"Name": "RequestLatency", "Unit": "Milliseconds"}, {"Name": "WriteUnits", "Unit": "Count"},
                    ],
                }]},
            })
        );
        assert_eq!(lines(&emf), Vec::<Value>::new(), "nothing since");
    }

    #[test]
    fn a_line_has_a_hundred_values_of_a_metric_at_most() {
        let emf = Emf::new("ojs-jobs", "api");
        metrics::with_local_recorder(&emf, || {
            for at in 0..250 {
                histogram!(names::JOB_START_LATENCY).record(f64::from(at));
            }
        });
        let sizes: Vec<usize> = lines(&emf).iter().map(|line| line["StartLatency"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
    }
}
