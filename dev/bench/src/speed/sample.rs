use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Outcome;

/// Longest latency told apart, ns.
const LONGEST_NS: u64 = 60_000_000_000;

/// Latencies, gathered over several slices.
pub(crate) struct Sample {
    latencies: Histogram<u64>,
    spent: Duration,
    empty_fetches: u64,
}

/// What is said of a sample.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Operations a second.
    pub(crate) rate: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) operations: u64,
    /// Fetches that found nothing although a job was on its way; they are repeated, and their time counts.
    pub(crate) empty_fetches: u64,
}

impl Sample {
    pub(crate) fn new() -> Outcome<Self> {
        Ok(Self { latencies: Histogram::new_with_bounds(1, LONGEST_NS, 3)?, spent: Duration::ZERO, empty_fetches: 0 })
    }

    pub(crate) fn add(&mut self, latency: Duration) {
        self.latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(LONGEST_NS));
    }

    pub(crate) fn spend(&mut self, wall: Duration, empty_fetches: u64) {
        self.spent += wall;
        self.empty_fetches += empty_fetches;
    }

    /// Operations a second.
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.spent.as_secs_f64().max(1e-9)
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures {
            rate: tenths(self.rate()),
            p50_us: self.quantile_us(0.5),
            p99_us: self.quantile_us(0.99),
            operations: self.latencies.len(),
            empty_fetches: self.empty_fetches,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a minute in ns")]
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        tenths(self.latencies.value_at_quantile(quantile) as f64 / 1_000.0)
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
