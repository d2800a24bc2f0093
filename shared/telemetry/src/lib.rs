//! Where the processes' logs, traces and numbers go.
//!
//! | what | where | told by |
//! |---|---|---|
//! | [logs](logs) | standard error, JSON lines (text on a terminal) | `RUST_LOG` |
//! | [traces](traces) | an OpenTelemetry collector, by the exporter of `ojs-otlp` | `OTEL_EXPORTER_OTLP_ENDPOINT` |
//! | [numbers](numbers) | CloudWatch (in Lambda), Prometheus (elsewhere) | `OJS_METRICS` |

mod config;
pub mod context;
pub mod emf;
mod logs;
pub mod metrics;
mod prometheus;
pub mod traces;

use std::sync::Arc;

pub use config::{Config, MetricsTo, TracesTo};
use metrics::Numbers;
use ojs_core::settings::SettingsError;
pub use traces::Exporter;
use traces::Traces;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What a process has started. Kept until its end.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    traces: Option<Arc<Traces>>,
    numbers: Numbers,
}

impl Telemetry {
    /// Starts logs, and traces and numbers if the environment asks for them. Once per process, within its tokio runtime. `function`:
    /// `api`, `scheduler`, `cron` or `local`. A program without `exporter` says in the log that it sends no traces, if the environment
    /// asks for them.
    ///
    /// # Errors
    /// [`SettingsError`] naming the first variable that cannot be used. Logs are started all the same.
    pub fn start(function: &'static str, exporter: Option<Exporter>) -> Result<Self, SettingsError> {
        Self::start_with(Config::from_lookup(function, |name| std::env::var(name).ok()), exporter)
    }

    /// The same with what would be read from the environment.
    ///
    /// # Errors
    /// `config`'s.
    pub fn start_with(
        config: Result<Config, SettingsError>,
        exporter: Option<Exporter>,
    ) -> Result<Self, SettingsError> {
        let traces = match &config {
            Ok(Config { traces: Some(traces), .. }) => traces::start(traces, exporter).map(Arc::new).map_err(Some),
            _ => Err(None),
        };
        let layer = traces.as_ref().ok().map(|traces| traces.layer());
        // Fails only where a subscriber is set already, as in tests.
        let _ = tracing_subscriber::registry().with(layer).with(logs::layer()).try_init();
        let config = config?;
        let traces = traces.map_err(|problem| {
            if let Some(problem) = problem {
                tracing::warn!(problem, "no traces");
            }
        });
        Ok(Self { traces: traces.ok(), numbers: Numbers::start(&config) })
    }

    /// Whether there are traces.
    #[must_use]
    pub fn has_traces(&self) -> bool {
        self.traces.is_some()
    }

    /// Whether metrics may be asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.numbers.is_prometheus()
    }

    /// The numbers in Prometheus's text format; `None` when they go elsewhere.
    #[must_use]
    pub fn render(&self) -> Option<String> {
        self.numbers.render()
    }

    /// Sends what has gathered: to be called when an invocation is over, before the sandbox is frozen. Takes a second at most, once
    /// a minute, when the collector is away.
    pub fn flush(&self) {
        self.numbers.flush();
        if let Some(traces) = &self.traces {
            traces.flush();
        }
    }

    /// Sends what has gathered, and ends. Takes some seconds at most.
    pub fn stop(&self) {
        self.numbers.flush();
        if let Some(traces) = &self.traces {
            traces.stop();
        }
    }
}
