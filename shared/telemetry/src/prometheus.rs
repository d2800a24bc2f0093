use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use ojs_core::observe::metrics as names;

/// Bucket bounds, s, as the OJS observability specification recommends them (section 8.2).
const DURATION: [f64; 15] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
const QUEUE_TIME: [f64; 13] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0];
/// OpenTelemetry's for HTTP.
const HTTP: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

pub(crate) fn recorder() -> PrometheusRecorder {
    let all = [
        (names::JOB_DURATION, DURATION.as_slice()),
        (names::JOB_QUEUE_TIME, &QUEUE_TIME),
        (names::JOB_START_LATENCY, &QUEUE_TIME),
        (names::HTTP_DURATION, &HTTP),
    ];
    let with_buckets =
        all.into_iter().try_fold(PrometheusBuilder::new().with_recommended_naming(true), |builder, (name, bounds)| {
            builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)
        });
    // Only empty bounds are refused.
    with_buckets.unwrap_or_default().build_recorder()
}

/// Tells the recorder what the numbers mean.
pub(crate) fn describe() {
    for (name, text) in [
        (names::JOB_ENQUEUED, "Jobs enqueued."),
        (names::JOB_STARTED, "Attempts that a worker got."),
        (names::JOB_COMPLETED, "Jobs that completed."),
        (names::JOB_FAILED, "Jobs that were discarded."),
        (names::JOB_RETRIED, "Attempts that failed and are followed by another one."),
        (names::JOB_CANCELLED, "Jobs that were cancelled."),
        (names::JOB_EXPIRED, "Jobs that were discarded because their time was over."),
        (names::AUDIT_RESENT, "Jobs whose message the audit sent again."),
        (names::AUDIT_ENDED, "Jobs that the clock had ended, which the audit wrote down."),
        (names::AWS_CALLS, "Tries of AWS calls."),
        (names::AWS_WRITE_UNITS, "Write units that DynamoDB took, thousandths."),
        (names::AWS_READ_UNITS, "Read units that DynamoDB took, thousandths."),
        (names::AWS_COST, "Estimated price of the AWS calls on demand in us-east-1, billionths of a USD."),
    ] {
        describe_counter!(name, Unit::Count, text);
    }
    for (name, text) in [
        (names::JOB_DURATION, "From the last attempt's start to the job's end."),
        (names::JOB_QUEUE_TIME, "From the enqueue to the first attempt's start."),
        (names::JOB_START_LATENCY, "From when the first attempt could start to its start."),
        (names::HTTP_DURATION, "Answers to HTTP requests."),
    ] {
        describe_histogram!(name, Unit::Seconds, text);
    }
    describe_gauge!(names::QUEUE_DEPTH, Unit::Count, "Jobs in a queue, by state.");
}
