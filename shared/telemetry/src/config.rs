use std::time::Duration;

use ojs_core::settings::{SettingsError, parse_flag};

/// Where a collector is by default: OpenTelemetry's port for OTLP over gRPC.
const DEFAULT_ENDPOINT: &str = "http://localhost:4317";
/// How long one export may take by default. OpenTelemetry's 10 s would be felt by the next invocation.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Where numbers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsTo {
    /// Nowhere.
    Off,
    /// To CloudWatch, as lines of its embedded metric format on standard output.
    Emf,
    /// To clients of `GET /metrics`.
    Prometheus,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesTo {
    /// The collector's URL; `https` for TLS.
    pub endpoint: String,
    /// `service.name` of the spans.
    pub service: String,
    /// How long one export may take.
    pub timeout: Duration,
}

/// What the environment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `api`, `scheduler`, `cron` or `local`.
    pub function: &'static str,
    /// `DYNAMODB_TABLE`: what tells numbers of several systems in one account apart.
    pub stack: String,
    /// Whether this is a Lambda function.
    pub in_lambda: bool,
    /// `OJS_METRICS`: `emf` (default in Lambda), `prometheus` (default elsewhere) or `off`.
    pub metrics: MetricsTo,
    /// Set by `OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OJS_OTEL_ENDPOINT`, or `OJS_OTEL_ENABLED`).
    pub traces: Option<TracesTo>,
}

impl Config {
    /// Reads variables through `lookup`; an empty value counts as unset.
    ///
    /// # Errors
    /// [`SettingsError`] naming the first variable that cannot be used.
    pub fn from_lookup(function: &'static str, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let text = |name: &str| lookup(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let in_lambda = text("AWS_LAMBDA_RUNTIME_API").is_some();
        let metrics = match text("OJS_METRICS").map(|text| text.to_ascii_lowercase()).as_deref() {
            None if in_lambda => MetricsTo::Emf,
            None | Some("prometheus") => MetricsTo::Prometheus,
            Some("emf") => MetricsTo::Emf,
            Some("off" | "none") => MetricsTo::Off,
            Some(_) => return Err(problem("OJS_METRICS", "must be 'emf', 'prometheus' or 'off'")),
        };
        let endpoint = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OJS_OTEL_ENDPOINT"]
            .into_iter()
            .find_map(|name| text(name).map(|value| (name, value)));
        let enabled = parse_flag("OJS_OTEL_ENABLED", text("OJS_OTEL_ENABLED").as_deref(), endpoint.is_some())?;
        let disabled = parse_flag("OTEL_SDK_DISABLED", text("OTEL_SDK_DISABLED").as_deref(), false)?;
        let traces = if enabled && !disabled {
            let (name, endpoint) = endpoint.unwrap_or(("OJS_OTEL_ENDPOINT", DEFAULT_ENDPOINT.to_owned()));
            // The reference takes host and port alone.
            let endpoint = if endpoint.contains("://") { endpoint } else { format!("http://{endpoint}") };
            let uri: Option<http::Uri> = endpoint.parse().ok();
            if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()) {
                return Err(problem(name, "must be a URL such as http://localhost:4317"));
            }
            let timeout = match text("OTEL_EXPORTER_OTLP_TIMEOUT") {
                Some(ms) => {
                    let ms = ms.parse().ok().filter(|ms| (1..=60_000).contains(ms));
                    let wrong = || problem("OTEL_EXPORTER_OTLP_TIMEOUT", "must be an integer from 1 to 60000 (ms)");
                    Duration::from_millis(ms.ok_or_else(wrong)?)
                }
                None => EXPORT_TIMEOUT,
            };
            let service = text("OTEL_SERVICE_NAME").unwrap_or_else(|| format!("ojs-{function}"));
            Some(TracesTo { endpoint, service, timeout })
        } else {
            None
        };
        let stack = text("DYNAMODB_TABLE").unwrap_or_else(|| "ojs-jobs".to_owned());
        Ok(Self { function, stack, in_lambda, metrics, traces })
    }
}

fn problem(variable: &'static str, problem: &str) -> SettingsError {
    SettingsError { variable, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, SettingsError> {
        Config::from_lookup("api", |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn numbers_go_where_the_process_runs() {
        assert_eq!(with(&[]).unwrap().metrics, MetricsTo::Prometheus);
        assert_eq!(with(&[("AWS_LAMBDA_RUNTIME_API", "x")]).unwrap().metrics, MetricsTo::Emf);
        assert_eq!(with(&[("OJS_METRICS", "off"), ("AWS_LAMBDA_RUNTIME_API", "x")]).unwrap().metrics, MetricsTo::Off);
        assert_eq!(with(&[("OJS_METRICS", "statsd")]).unwrap_err().variable, "OJS_METRICS");
    }

    #[test]
    fn traces_go_to_the_first_endpoint_that_is_named() {
        assert_eq!(with(&[]).unwrap().traces, None);
        let endpoint = |pairs: &[(&str, &str)]| with(pairs).unwrap().traces.unwrap().endpoint;
        let (old, new) = (("OJS_OTEL_ENDPOINT", "old:4317"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://new:4317"));
        assert_eq!(endpoint(&[old]), "http://old:4317");
        assert_eq!(endpoint(&[old, new]), "https://new:4317");
        assert_eq!(endpoint(&[("OJS_OTEL_ENABLED", "true")]), DEFAULT_ENDPOINT);
        assert_eq!(with(&[new, ("OJS_OTEL_ENABLED", "false")]).unwrap().traces, None);
        assert_eq!(with(&[new, ("OTEL_SDK_DISABLED", "true")]).unwrap().traces, None);
        let named = with(&[new, ("OTEL_SERVICE_NAME", "jobs"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "250")]).unwrap();
        let named = named.traces.unwrap();
        assert_eq!((named.service.as_str(), named.timeout), ("jobs", Duration::from_millis(250)));
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://x"),
            ("OJS_OTEL_ENDPOINT", "http://"),
            ("OJS_OTEL_ENABLED", "perhaps"),
        ] {
            assert_eq!(with(&[(name, value)]).unwrap_err().variable, name);
        }
        assert_eq!(
            with(&[old, ("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]).unwrap_err().variable,
            "OTEL_EXPORTER_OTLP_TIMEOUT"
        );
    }
}
