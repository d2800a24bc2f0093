use serde::Serialize;

use crate::error::{Error, Result};
use crate::job::QueueRetention;
use crate::job::{MAX_VISIBILITY_MS, MIN_VISIBILITY_MS};
use crate::json::Fields;
use crate::limit::{Limits, Window};

/// Longest default execution timeout, s: a year.
const MAX_TIMEOUT_S: i64 = 31_536_000;

/// What an operator has configured for a queue (queue configuration section 6.2). Jobs that say otherwise for themselves
/// keep to that; limits hold beside theirs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QueueConfig {
    /// How many of its jobs may start, and how many may run at once.
    #[serde(flatten)]
    pub limits: Limits,
    /// A lease's length where neither fetch nor job says, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility_timeout: Option<i64>,
    /// Execution timeout of jobs without one, s; in force from the next claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_timeout: Option<i64>,
    /// How long its jobs are kept once they have ended; in force from the next claim.
    #[serde(skip_serializing_if = "QueueRetention::is_empty")]
    pub retention: QueueRetention,
}

impl QueueConfig {
    /// Reads a configuration: the members given, and no others.
    ///
    /// # Errors
    /// `invalid_request` for a value out of bounds; `unsupported` for a member of the specification that is not supported
    /// here, so that no client relies on it.
    pub fn parse(mut fields: Fields) -> Result<Self> {
        let visibility_timeout =
            fields.take_integer("visibility_timeout", MIN_VISIBILITY_MS / 1_000, MAX_VISIBILITY_MS / 1_000)?;
        let default_timeout = fields.take_integer("default_timeout", 1, MAX_TIMEOUT_S)?;
        let retention = match fields.take("retention") {
            Some(given) => QueueRetention::parse(&fields.name("retention"), &given)?,
            None => QueueRetention::default(),
        };
        let mut limits = Limits::default();
        if let Some(given) = fields.take("rate_limit") {
            // `{limit, period}` (queue configuration section 6.2), or as jobs have it.
            let name = fields.name("rate_limit");
            limits = match Window::parse(&name, &given) {
                Ok(rate) => Limits { rate: Some(rate), ..Limits::default() },
                Err(error) => Limits::parse(&name, &given).map_err(|other| {
                    let is_window = Fields::from_member(&name, &given).is_ok_and(|mut f| f.take("limit").is_some());
                    if is_window { error } else { other }
                })?,
            };
        }
        let own = Limits::take(&mut fields)?;
        limits = limits.overridden(own);
        if let Some(other) = fields.rest().into_keys().next() {
            let other: String = other.chars().take(64).collect();
            return Err(Error::unsupported(format_args!(
                "'{other}' cannot be configured per queue here; 'concurrency', 'rate_limit', 'throttle', \
                 'visibility_timeout', 'default_timeout' and 'retention' can."
            ))
            .with("field", other));
        }
        Ok(Self { limits, visibility_timeout, default_timeout, retention })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(body: &str) -> Result<QueueConfig> {
        QueueConfig::parse(Fields::from_body(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_configuration_reads_back_as_it_is_shown() {
        for (body, shown) in [
            ("{}", "{}"),
            (
                r#"{"concurrency":20,"rate_limit":{"limit":1000,"period":"PT1H"},"visibility_timeout":300,"default_timeout":60}"#,
                r#"{"concurrency":20,"rate":{"limit":1000,"period":"PT1H"},"visibility_timeout":300,"default_timeout":60}"#,
            ),
            (
                r#"{"rate_limit":{"concurrency":5,"throttle":{"limit":1,"period":"PT1S"}}}"#,
                r#"{"concurrency":5,"throttle":{"limit":1,"period":"PT1S"}}"#,
            ),
            (r#"{"rate_limit":{"max_per_second":3}}"#, r#"{"rate":{"limit":3,"period":"PT1S"}}"#),
            (
                r#"{"retention":{"completed":"P3D","discarded":"PT0S"}}"#,
                r#"{"retention":{"completed":"PT72H","discarded":"PT0S"}}"#,
            ),
            (r#"{"concurrency":null,"rate_limit":null}"#, "{}"),
        ] {
            let config = parse(body).unwrap();
            let again = serde_json::to_string(&config).unwrap();
            assert_eq!(again, shown, "{body}");
            assert_eq!(parse(&again).unwrap(), config);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (body, code, field) in [
            (r#"{"concurrency":-1}"#, "invalid_request", "concurrency"),
            (r#"{"visibility_timeout":0}"#, "invalid_request", "visibility_timeout"),
            (r#"{"visibility_timeout":43201}"#, "invalid_request", "visibility_timeout"),
            (r#"{"default_timeout":"PT1S"}"#, "invalid_request", "default_timeout"),
            (r#"{"rate_limit":{"limit":0,"period":"PT1S"}}"#, "invalid_request", "rate_limit.limit"),
            (r#"{"rate_limit":{"limit":1}}"#, "invalid_request", "rate_limit.period"),
            (r#"{"rate_limit":5}"#, "invalid_request", "rate_limit"),
            (r#"{"rate_limit":{"burst":5}}"#, "invalid_request", "rate_limit.burst"),
            (r#"{"retention":{"completed":"3 days"}}"#, "invalid_request", "retention.completed"),
            (r#"{"retention":{"completed":"P200Y"}}"#, "invalid_request", "retention.completed"),
            (r#"{"retention":{"failed":"P1D"}}"#, "invalid_request", "retention.failed"),
            (r#"{"max_size":5}"#, "unsupported", "max_size"),
            (r#"{"allowed_job_types":["a"]}"#, "unsupported", "allowed_job_types"),
        ] {
            let error = parse(body).unwrap_err();
            assert_eq!((error.code.as_str(), error.details["field"].as_str()), (code, Some(field)), "{body}");
        }
    }
}
