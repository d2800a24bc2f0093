//! Numbers: what the engine counts ([`ojs_core::observe::metrics`]), and where it goes.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use ojs_core::observe::metrics as names;

use crate::config::{Config, MetricsTo};
use crate::emf::Emf;
use crate::prometheus;

/// How often Prometheus's samples are folded.
const UPKEEP: Duration = Duration::from_secs(5);
/// How often a server writes lines for CloudWatch.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Where the numbers of this process go.
#[derive(Debug, Clone, Default)]
pub enum Numbers {
    /// Nowhere.
    #[default]
    Off,
    /// To CloudWatch.
    Emf(Arc<Emf>),
    /// To clients that ask.
    Prometheus(Prometheus),
}

/// The handle, which cannot be printed.
#[derive(Clone)]
pub struct Prometheus(PrometheusHandle);

impl std::fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prometheus")
    }
}

impl Numbers {
    /// Starts to record, where the configuration asks for it. The second call of a process records nothing.
    #[must_use]
    pub fn start(config: &Config) -> Self {
        let (recording, numbers) = match config.metrics {
            MetricsTo::Off => return Self::Off,
            MetricsTo::Emf => {
                let emf = Arc::new(Emf::new(&config.stack, config.function));
                (metrics::set_global_recorder(Arc::clone(&emf)).is_ok(), Self::Emf(emf))
            }
            MetricsTo::Prometheus => {
                let recorder = prometheus::recorder();
                let handle = recorder.handle();
                (metrics::set_global_recorder(recorder).is_ok(), Self::Prometheus(Prometheus(handle)))
            }
        };
        if !recording {
            return Self::Off;
        }
        prometheus::describe();
        names::enable();
        numbers.tend(config.in_lambda);
        numbers
    }

    /// What has to be done again and again, in the background: samples that no client asks for are folded into their buckets; outside Lambda,
    /// where no invocation ends, lines are written.
    fn tend(&self, in_lambda: bool) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        match self.clone() {
            Self::Prometheus(Prometheus(handle)) => drop(runtime.spawn(async move {
                loop {
                    tokio::time::sleep(UPKEEP).await;
                    handle.run_upkeep();
                }
            })),
            numbers @ Self::Emf(_) if !in_lambda => drop(runtime.spawn(async move {
                loop {
                    tokio::time::sleep(LINE_EVERY).await;
                    numbers.flush();
                }
            })),
            _ => {}
        }
    }

    /// Whether [`Self::render`] has something to tell.
    #[must_use]
    pub fn is_prometheus(&self) -> bool {
        matches!(self, Self::Prometheus(_))
    }

    /// In Prometheus's text format; `None` when they go elsewhere.
    #[must_use]
    pub fn render(&self) -> Option<String> {
        match self {
            Self::Prometheus(Prometheus(handle)) => {
                handle.run_upkeep();
                Some(handle.render())
            }
            _ => None,
        }
    }

    /// Writes what has gathered since the last time to CloudWatch, if it goes there.
    pub fn flush(&self) {
        if let Self::Emf(emf) = self
            && let Err(error) = emf.flush(&mut std::io::stdout().lock(), now_ms())
        {
            tracing::warn!(%error, "metrics not written");
        }
    }
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
