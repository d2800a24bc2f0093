//! On-demand prices in us-east-1, USD per million.

/// Write request units of DynamoDB (standard table class).
pub(crate) const WRITE_UNITS: f64 = 0.625;
/// Read request units of DynamoDB.
pub(crate) const READ_UNITS: f64 = 0.125;
/// Requests to standard SQS queues, after the free million.
pub(crate) const SQS_REQUESTS: f64 = 0.40;

/// Lambda invocations; their duration comes on top.
pub(crate) const INVOCATIONS: f64 = 0.20;

/// USD for a million of an operation.
pub(crate) fn usd_per_million(write_units: f64, read_units: f64, sqs_requests: f64) -> f64 {
    write_units * WRITE_UNITS + read_units * READ_UNITS + sqs_requests * SQS_REQUESTS
}
